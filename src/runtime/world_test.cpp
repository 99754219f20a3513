#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "test_world.h"

namespace cloudlet::runtime::testing {

World::World() : host_(Host::probe().value()) {
    static int count = 0;
    folder_ = io::make_temporary_directory("/tmp/runtime-test-").value();
    cgroup_ = fmt::format("/cloudlet-test-{}-{}", getpid(), count++);
    for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp"})
        EXPECT_TRUE(io::make_directories(root() + "/" + name));
    chmod(folder_.c_str(), 0755);
    EXPECT_TRUE(io::write_file_atomic(root() + "/bin/busybox",
                                      io::read_file("/bin/busybox").value(), 0755));
    for (const char* name : {"sh",    "true",  "false",    "ls",       "cat",  "sleep",  "id",
                             "ps",    "mount", "hostname", "readlink", "grep", "kill",   "stat",
                             "mkdir", "touch", "chmod",    "ip",       "head", "tr",     "dd",
                             "tty",   "stty",  "umount",   "mknod",    "wc",   "ulimit", "seq",
                             "env",   "chown", "unshare",  "printf",   "rm",   "ln",     "test"})
        static_cast<void>(symlink("busybox", (root() + "/bin/" + name).c_str()));
    static_cast<void>(io::write_file_atomic(
        root() + "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/home/web:/bin/sh\n"));
    static_cast<void>(
        io::write_file_atomic(root() + "/etc/group", "root:x:0:\nweb:x:1001:\nstaff:x:50:web\n"));
    options.directory = folder_ + "/monitor";
    options.log_path = log_path();
    static_cast<void>(io::make_directories(options.directory));
}

World::~World() {
    const linux::Cgroup left = host_.cgroups.open(cgroup_);
    EXPECT_TRUE(left.kill_all());
    EXPECT_TRUE(left.remove());
    // A monitor that lives on would still write into the folder.
    EXPECT_TRUE(eventually([&] {
        return !io::exists(options.directory + "/monitor.sock") ||
               !MonitorConnection::connect(options.directory);
    }));
    EXPECT_TRUE(io::remove_tree(folder_));
}

std::string World::log() const { return io::read_file(log_path()).value_or(""); }

std::string World::output(const std::string& stream) const {
    std::string out;
    std::string_view rest;
    const std::string text = log();
    rest = text;
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        const std::string marker = " " + stream + " ";
        const size_t at = line.find(marker);
        if (at != std::string_view::npos && line.size() >= at + marker.size() + 2) {
            out.append(line.substr(at + marker.size() + 2));
            if (line[at + marker.size()] == 'F') out.push_back('\n');
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return out;
}

Spec World::shell(const std::string& script) const {
    Spec spec = default_spec();
    spec.root_path = root();
    spec.process.args = {"sh", "-c", script};
    spec.cgroups_path = cgroup_;
    return spec;
}

Result<SpawnedMonitor> World::spawn(const Spec& spec) {
    group = TRY(host_.cgroups.create(cgroup_, spec.resources));
    PlanContext context;
    context.cgroup = group->files();
    context.cgroup_path = cgroup_;
    options.plan = TRY(compile_plan(spec, host_, context));
    return spawn_monitor(options);
}

ExitRecord World::run(const Spec& spec) {
    auto spawned = spawn(spec);
    EXPECT_TRUE(spawned) << spawned.error().to_string();
    if (!spawned) return {};
    auto watch = spawned->connection.watch_exit();
    EXPECT_TRUE(watch);
    const auto started = spawned->connection.start();
    EXPECT_TRUE(started) << started.error().to_string();
    auto record = watch->record(std::chrono::seconds(20));
    EXPECT_TRUE(record) << record.error().to_string();
    return record.value_or(ExitRecord{});
}

Plan World::exec_plan(const Spec& spec, int pid, std::vector<std::string> args,
                      bool terminal) const {
    Process process = spec.process;
    process.args = std::move(args);
    process.terminal = terminal;
    return compile_exec_plan(spec, process, host_, {pid, group->files()}).value();
}

bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000; i++) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

} // namespace cloudlet::runtime::testing
