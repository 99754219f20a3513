#include "crushtool_help.h"

namespace cloudlet::rados {

std::string_view crushtool_help() {
    return R"(usage: crushtool [-i MAP | -d MAP | -c TEXT | --build --num-osds N LAYER...] [OPTION]...

Reads, changes, shows and tests CRUSH maps. One run goes through five stages: get a map, set
tunables, change it, show or test it, write it with -o.

Get a map
  -i, --infn FILE            read a map
  -d, --decompile FILE       read a map and write it as text
  -c, --compile FILE         make a map from text
  --build --num-osds N NAME ALG SIZE ...
                             build one: each layer groups the items of the last one by SIZE
                             (0: all) in buckets of ALG (uniform, list, tree, straw, straw2)
  -o, --outfn FILE           where the result goes

Set tunables
  --set-choose-local-tries N       --set-choose-local-fallback-tries N
  --set-choose-total-tries N       --set-chooseleaf-descend-once 0|1
  --set-chooseleaf-vary-r N        --set-chooseleaf-stable 0|1
  --set-straw-calc-version 0|1     --set-allowed-bucket-algs MASK
  --enable-unsafe-tunables   accepted for compatibility; all tunables are safe

Change it
  --add-item ID WEIGHT NAME [--loc TYPE NAME]...      put a device (or bucket) at a place
  --update-item ID WEIGHT NAME [--loc TYPE NAME]...   put it there, or move it there
  --remove-item NAME                                  take it out
  --reweight-item NAME WEIGHT                         weigh it anew, with all that is above it
  --add-bucket NAME TYPE [--loc TYPE NAME]...         make an empty bucket
  --move NAME --loc TYPE NAME...                      move an item with all that is below it
  --reweight                                          add up all buckets' weights anew
  --rebuild-class-roots                               make the classes' shadow trees anew
  --create-simple-rule NAME ROOT TYPE firstn|indep    make a rule
  --create-replicated-rule NAME ROOT TYPE             the same, firstn
  --device-class CLASS                                only devices of a class, for a new rule
  --remove-rule NAME

Show or test it
  --tree                     the hierarchy as a table
  --bucket-tree --bucket-name NAME
                             the devices below a bucket
  --dump [-f json|json-pretty|xml|xml-pretty]
                             everything, for programs
  --show-location ID         the buckets above a device
  --check [MAX_ID]           rules that overlap; items without a name or type, or from MAX_ID up
  --compare FILE             whether another map places alike, over the inputs of --test
  --test                     map inputs to devices:
      --min-x X --max-x X --x X                    which inputs (0 to 1023)
      --min-rule R --max-rule R --rule R --ruleset R
      --num-rep N, --min-rep N --max-rep N         how many devices (the rule's sizes)
      --pool-id P                                  inputs are placement groups of a pool
      --weight, -w DEVICE WEIGHT                   0 is out, 1 is in
      --batches B                                  rounds, for --output-csv
      --simulate                                   random placements instead of CRUSH's
      --show-mappings --show-bad-mappings --show-statistics --show-utilization
      --show-utilization-all --show-choose-tries
      --output-csv [--output-name NAME]            files; --help-output tells which
)";
}

std::string_view crushtool_csv_help() {
    return R"(--output-csv writes these files into the current folder, [NAME-]RULE-TABLE.csv for each rule:
  absolute_weights                       device, weight
  proportional_weights[_all]             device, share of the whole weight; without _all: only
                                         devices that are in
  device_utilization[_all]               device, placements, placements expected; without _all:
                                         only devices that got one
  placement_information                  input, devices
  batch_device_utilization_all           round, placements on each device (with --batches)
  batch_device_expected_utilization_all  the same file in the same form (with --batches)
)";
}

} // namespace cloudlet::rados
