#!/usr/bin/env python3
"""Compiles the kinds' schema files into one C++ table (the language: README.md beside this file).

Usage: compile.py OUTPUT.cpp FILE.schema...
The table holds numbers and one pool of text, no pointers, so that loading it costs no relocations.
Its structs are in src/api/kind_tables.h.
"""
import json
import re
import shlex
import sys

SCALARS = ["string", "int32", "int64", "number", "bool", "bytes", "int_or_string", "quantity",
           "time", "micro_time", "any"]
# The order of Schema::Type in include/cloudlet/api/schema.h.
TYPE_NUMBERS = {"object": 0, "map": 1, "list": 2, "string": 3, "int32": 4, "int64": 5, "number": 6,
                "bool": 7, "bytes": 8, "int_or_string": 9, "quantity": 10, "time": 11,
                "micro_time": 12, "any": 13}
LIST_TYPES = {"atomic": 0, "set": 1, "map": 2}
FLAGS = {"required": 1, "present": 2, "inert": 4, "immutable": 8, "merge": 16, "retainKeys": 32,
         "replace": 64, "zero": 128, "unique": 256}
ALIASES = {"core": "io.k8s.api.core.v1", "meta": "io.k8s.apimachinery.pkg.apis.meta.v1"}
ALL_VERBS = "create delete deletecollection get list patch update watch".split()


class Bad(Exception):
    """A mistake in a schema file, with its place."""


class Field:
    def __init__(self, name, number, type_text, attributes, description):
        self.name, self.number, self.type_text = name, number, type_text
        self.description = description
        self.embedded_in = 0
        self.flags = 0
        self.default = self.enums = self.check = self.map_keys = self.merge_key = ""
        self.minimum = self.maximum = None
        self.list_type = "atomic"
        for attribute in attributes:
            self.apply(attribute)

    def apply(self, attribute):
        call = re.fullmatch(r"(\w+)\((.*)\)", attribute)
        if attribute.startswith("="):
            self.default = default_json(attribute[1:], self.type_text)
        elif attribute.startswith(">="):
            self.minimum = int(attribute[2:])
        elif attribute.startswith("<="):
            self.maximum = int(attribute[2:])
        elif attribute == "set":
            self.list_type = "set"
        elif attribute in FLAGS:
            self.flags |= FLAGS[attribute]
        elif call and call[1] == "one":
            self.enums = call[2]
        elif call and call[1] == "check":
            self.check = call[2]
        elif call and call[1] == "map":
            self.list_type, self.map_keys = "map", call[2]
        elif call and call[1] == "merge":
            self.flags |= FLAGS["merge"]
            self.merge_key = call[2]
        else:
            raise Bad(f"unknown attribute {attribute!r} of field {self.name}")


def default_json(text, type_text):
    """A bare word is a string for fields that strings hold, JSON for all others."""
    if type_text in ("string", "quantity"):
        return json.dumps(text)
    json.loads(text)
    return text


class ObjectType:
    def __init__(self, package, name, atomic, description):
        self.package, self.name, self.atomic, self.description = package, name, atomic, description
        self.entries = []  # Field, or ("inline", number, type name)

    @property
    def full_name(self):
        return f"{self.package}.{self.name}"


class Kind:
    def __init__(self, group, version, package, words):
        self.group, self.version, self.package = group, version, package
        self.name, self.plural, self.singular, scope = words[:4]
        self.namespaced = scope == "namespaced"
        self.stored = "unstored" not in words
        self.internal = "internal" in words
        self.verbs = ALL_VERBS
        self.short, self.categories, self.select = [], [], []
        self.subresources, self.columns = [], []


class Reader:
    """Reads schema files into object types and kinds."""

    def __init__(self):
        self.types, self.kinds = {}, []
        self.group = self.version = self.package = None
        self.type = self.kind = None

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    self.line(line.rstrip("\n"))
                except (Bad, ValueError, IndexError) as error:
                    raise SystemExit(f"{path}:{number}: {error}: {line.strip()}") from error

    def line(self, line):
        if not line.strip() or line.startswith("#"):
            return
        head, _, description = line.partition(": ")
        words = shlex.split(head) if "{" not in head else head.split()
        if not line.startswith(" "):
            self.top(words, description)
        elif self.type is not None:
            self.field(words, description)
        else:
            self.kind_line(words, description)

    def top(self, words, description):
        self.type = self.kind = None
        if words[0] == "group":
            self.group, self.version, self.package = words[1], words[3], words[5]
        elif words[0] == "kind":
            self.kind = Kind(self.group, self.version, self.package, words[1:])
            self.kinds.append(self.kind)
        elif words[0] == "type":
            if not description:
                raise Bad("a type needs a description")
            self.type = ObjectType(self.package, words[1], "atomic" in words[2:], description)
            self.types[self.type.full_name] = self.type
        else:
            raise Bad(f"unknown word {words[0]!r}")

    def field(self, words, description):
        if words[0] == "inline":
            self.type.entries.append(("inline", int(words[1]), words[2]))
            return
        if not description:
            raise Bad("a field needs a description")
        self.type.entries.append(Field(words[0], int(words[1]), words[2], words[3:], description))

    def kind_line(self, words, description):
        key, rest = words[0], words[1:]
        if key == "short":
            self.kind.short = rest
        elif key == "categories":
            self.kind.categories = rest
        elif key == "select":
            self.kind.select = rest
        elif key == "verbs":
            self.kind.verbs = rest
        elif key == "subresource":
            self.kind.subresources.append(subresource(self.kind, rest))
        elif key == "column":
            self.kind.columns.append(column(rest, description))
        else:
            raise Bad(f"unknown line {key!r} of a kind")


def subresource(kind, words):
    """NAME VERB... [GROUP/VERSION/KIND] [stream]"""
    target = next((word for word in words[1:] if "/" in word), None)
    stream = "stream" in words
    verbs = [word for word in words[1:] if "/" not in word and word != "stream"]
    if target is None:
        return (words[0], verbs, kind.group, kind.version, kind.name, words[0] != "log")
    *group, version, name = target.split("/")
    return (words[0], verbs, group[0] if group else "", version, name, not stream)


def column(words, description):
    """NAME TYPE [name] [wide] SOURCE"""
    name, kind, *middle, source = words
    return (name, kind, "name" if "name" in middle else "", description, 1 if "wide" in middle else 0,
            source)


class Pool:
    """All texts, each once, found by offset."""

    def __init__(self):
        self.text, self.known = "", {}

    def add(self, text):
        if text not in self.known:
            self.known[text] = len(self.text.encode())
            self.text += text
        return f"{{{self.known[text]},{len(text.encode())}}}"


class Compiler:
    """Numbers the schema nodes and writes the rows."""

    def __init__(self, reader):
        self.types, self.kinds = reader.types, reader.kinds
        self.pool = Pool()
        self.nodes = {}      # expression -> number
        self.rows = []       # (type number, items, full name or None)
        self.field_rows = []
        for scalar in SCALARS:
            self.add_node(scalar, (TYPE_NUMBERS[scalar], -1, None))
        for name in sorted(self.types):
            fields = self.types[name].entries
            self.add_node(name, (TYPE_NUMBERS["object" if fields else "any"], -1, name))

    def add_node(self, expression, row):
        self.nodes[expression] = len(self.rows)
        self.rows.append(row)
        return self.nodes[expression]

    def node(self, text, package):
        for prefix, kind in (("[]", "list"), ("{}", "map")):
            if text.startswith(prefix):
                item = self.node(text[2:], package)
                expression = f"{prefix}#{item}"
                if expression in self.nodes:
                    return self.nodes[expression]
                return self.add_node(expression, (TYPE_NUMBERS[kind], item, None))
        if text in self.nodes:
            return self.nodes[text]
        return self.nodes[self.resolve(text, package)]

    def resolve(self, text, package):
        alias, _, name = text.rpartition(".")
        full = f"{ALIASES[alias] if alias else package}.{name}"
        if full not in self.types:
            raise SystemExit(f"type {text} (of {package}) is defined nowhere")
        return full

    def flatten(self, object_type):
        for entry in object_type.entries:
            if isinstance(entry, Field):
                yield entry
                continue
            _, number, name = entry
            for field in self.flatten(self.types[self.resolve(name, object_type.package)]):
                copy = Field(field.name, field.number, field.type_text, [], field.description)
                copy.__dict__.update(field.__dict__)
                copy.embedded_in = number
                copy.type_text = self.absolute(field.type_text, name, object_type.package)
                yield copy

    def absolute(self, text, owner, package):
        """A type as seen from the inlined type's own package."""
        prefix = re.match(r"(\[\]|\{\})*", text)[0]
        base = text[len(prefix):]
        if base in SCALARS or base in self.types:
            return text
        owner_package = self.resolve(owner, package).rpartition(".")[0]
        return prefix + self.resolve(base, owner_package)

    def compile(self):
        type_rows = {}
        for full_name in sorted(self.types):
            object_type = self.types[full_name]
            fields = sorted(self.flatten(object_type), key=lambda field: field.name.encode())
            first = len(self.field_rows)
            self.field_rows += [self.field_row(field, object_type.package) for field in fields]
            type_rows[full_name] = (first, len(fields), object_type)
        nodes = []
        for number, items, full_name in self.rows:
            first, count, object_type = type_rows.get(full_name, (0, 0, None))
            texts = (object_type.name, full_name, object_type.description) if object_type else ("",) * 3
            name, full, description = (self.pool.add(text) for text in texts)
            atomic = 1 if object_type and object_type.atomic else 0
            nodes.append(f"{{{number},{atomic},{items},{first},{count},{name},{full},{description}}}")
        return nodes

    def field_row(self, field, package):
        add = self.pool.add
        bounds = (1 if field.minimum is not None else 0) + (2 if field.maximum is not None else 0)
        patch_texts = ",".join(add(text) for text in (field.default, field.enums, field.check,
                                                       field.map_keys, field.merge_key))
        return (f"{{{self.node(field.type_text, package)},{field.number},{field.embedded_in},"
                f"{field.flags},{LIST_TYPES[field.list_type]},{bounds},{field.minimum or 0},"
                f"{field.maximum or 0},{add(field.name)},{add(field.description)},{patch_texts}}}")

    def kind_rows(self):
        add = self.pool.add
        kinds, subresources, columns = [], [], []
        for kind in sorted(self.kinds, key=lambda k: (k.group, k.version, k.plural)):
            flags = kind.namespaced + 2 * kind.stored + 4 * kind.internal
            texts = ",".join(add(text) for text in (
                kind.group, kind.version, kind.name, kind.plural, kind.singular, "|".join(kind.short),
                "|".join(kind.categories), "|".join(kind.verbs), "|".join(kind.select)))
            schema = self.node(kind.name, kind.package)
            kinds.append(f"{{{flags},{schema},{len(subresources)},{len(kind.subresources)},"
                         f"{len(columns)},{len(kind.columns)},{texts}}}")
            for name, verbs, group, version, target, has_schema in kind.subresources:
                number = self.subresource_schema(kind, group, version, target) if has_schema else -1
                texts = ",".join(add(t) for t in (name, "|".join(verbs), group, version, target))
                subresources.append(f"{{{number},{texts}}}")
            for name, kind_of, form, description, priority, source in kind.columns:
                texts = ",".join(add(text) for text in (name, kind_of, form, description, source))
                columns.append(f"{{{priority},{texts}}}")
        return kinds, subresources, columns

    def subresource_schema(self, kind, group, version, target):
        for other in self.kinds:
            if (other.group, other.version, other.name) == (group, version, target):
                return self.node(other.name, other.package)
        raise SystemExit(f"subresource of {kind.name}: no kind {group}/{version}/{target}")


def array(kind, name, rows):
    return f"static const {kind} {name}[] = {{\n" + ",\n".join(rows) + "};\n"


def pool_lines(text):
    """The pool as string literals of a readable length, cut at characters."""
    return "\n".join("    " + literal(text[at:at + 100]) for at in range(0, len(text), 100))


def literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    return f'"{escaped}"'


def main(output, paths):
    reader = Reader()
    for path in sorted(paths):
        reader.read(path)
    compiler = Compiler(reader)
    kinds, subresources, columns = compiler.kind_rows()
    nodes = compiler.compile()
    if not compiler.pool.text.isascii():
        raise SystemExit("schema files are ASCII")
    with open(output, "w", encoding="ascii") as out:
        out.write('// Made by kinds/compile.py.\n#include "kind_tables.h"\n\n'
                  "namespace cloudlet::api::tables {\n\nstatic const char text[] =\n")
        out.write(pool_lines(compiler.pool.text) + ";\n")
        out.write(array("NodeRow", "nodes", nodes))
        out.write(array("FieldRow", "fields", compiler.field_rows))
        out.write(array("KindRow", "kinds", kinds))
        out.write(array("SubresourceRow", "subresources", subresources))
        out.write(array("ColumnRow", "columns", columns))
        out.write("\nconst Tables& builtin() {\n    static const Tables tables{\n"
                  "        text, nodes, fields, kinds, subresources, columns};\n"
                  "    return tables;\n}\n\n} // namespace cloudlet::api::tables\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
