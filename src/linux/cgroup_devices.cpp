// Device rules on cgroup v2: a BPF program of type BPF_PROG_TYPE_CGROUP_DEVICE that the kernel asks
// before a device is opened or made. Written out instruction by instruction: it is a list of
// comparisons, tested from the last rule to the first, because later rules win.

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cgroup_files.h"
#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

constexpr bpf_insn insn(unsigned code, unsigned destination, unsigned source, int offset,
                        int32_t immediate) {
    return {static_cast<uint8_t>(code), static_cast<uint8_t>(destination),
            static_cast<uint8_t>(source), static_cast<int16_t>(offset), immediate};
}

int32_t access_bits(const std::string& access) {
    int32_t bits = 0;
    for (const char c : access)
        bits |= c == 'm'   ? BPF_DEVCG_ACC_MKNOD
                : c == 'r' ? BPF_DEVCG_ACC_READ
                           : BPF_DEVCG_ACC_WRITE;
    return bits;
}

constexpr int32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// r2 type, r3 access, r4 major, r5 minor; a failed comparison jumps behind the rule.
std::vector<bpf_insn> rule_code(const DeviceRule& rule) {
    std::vector<bpf_insn> tests;
    const unsigned not_equal = BPF_JMP | BPF_JNE | BPF_K, equal = BPF_JMP | BPF_JEQ | BPF_K;
    if (rule.type != 'a')
        tests.push_back(
            insn(not_equal, 2, 0, 0, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
    if (rule.major >= 0)
        tests.push_back(insn(not_equal, 4, 0, 0, static_cast<int32_t>(rule.major)));
    if (rule.minor >= 0)
        tests.push_back(insn(not_equal, 5, 0, 0, static_cast<int32_t>(rule.minor)));
    const int32_t bits = access_bits(rule.access);
    if (bits != kAllAccess) {
        tests.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_X, 1, 3, 0, 0));
        // Allowed when nothing beyond the rule is asked for; denied when anything in it is.
        tests.push_back(insn(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, rule.allow ? ~bits : bits));
        tests.push_back(insn(rule.allow ? not_equal : equal, 1, 0, 0, 0));
    }
    tests.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, rule.allow ? 1 : 0));
    tests.push_back(insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    for (size_t i = 0; i + 2 < tests.size(); i++)
        if (BPF_CLASS(tests[i].code) == BPF_JMP)
            tests[i].off = static_cast<int16_t>(tests.size() - i - 1);
    return tests;
}

std::vector<bpf_insn> program_for(const std::vector<DeviceRule>& rules) {
    std::vector<bpf_insn> code = {
        insn(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(bpf_cgroup_dev_ctx, access_type), 0),
        insn(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0),
        insn(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff),
        insn(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16),
        insn(BPF_LDX | BPF_MEM | BPF_W, 4, 1, offsetof(bpf_cgroup_dev_ctx, major), 0),
        insn(BPF_LDX | BPF_MEM | BPF_W, 5, 1, offsetof(bpf_cgroup_dev_ctx, minor), 0),
    };
    for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        const auto part = rule_code(*rule);
        code.insert(code.end(), part.begin(), part.end());
        const bool matches_all = rule->type == 'a' && rule->major < 0 && rule->minor < 0 &&
                                 access_bits(rule->access) == kAllAccess;
        if (matches_all)
            return code; // what comes before can never be reached, and the verifier refuses it
    }
    code.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1));
    code.push_back(insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    return code;
}

int bpf(int command, bpf_attr& attr) {
    return static_cast<int>(syscall(SYS_bpf, command, &attr, sizeof attr));
}

Result<io::UniqueFd> load(const std::vector<bpf_insn>& code) {
    static const char license[] = "Apache-2.0";
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = reinterpret_cast<uint64_t>(code.data());
    attr.insn_cnt = static_cast<uint32_t>(code.size());
    attr.license = reinterpret_cast<uint64_t>(license);
    strncpy(attr.prog_name, "cloudlet_dev", sizeof attr.prog_name - 1);
    const int fd = bpf(BPF_PROG_LOAD, attr);
    if (fd < 0)
        return fail_errno(
            "load a BPF program for device rules (the kernel needs CONFIG_CGROUP_BPF)");
    return io::UniqueFd(fd);
}

// Our own program of an earlier call, to be replaced in one step; empty when there is none.
io::UniqueFd attached_program(int group) {
    uint32_t ids[16] = {};
    bpf_attr query{};
    query.query.target_fd = static_cast<uint32_t>(group);
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = reinterpret_cast<uint64_t>(ids);
    query.query.prog_cnt = 16;
    if (bpf(BPF_PROG_QUERY, query) != 0) return {};
    for (uint32_t i = 0; i < query.query.prog_cnt; i++) {
        bpf_attr open{};
        open.prog_id = ids[i];
        io::UniqueFd fd(bpf(BPF_PROG_GET_FD_BY_ID, open));
        bpf_prog_info info{};
        bpf_attr ask{};
        ask.info.bpf_fd = static_cast<uint32_t>(fd.get());
        ask.info.info_len = sizeof info;
        ask.info.info = reinterpret_cast<uint64_t>(&info);
        if (fd && bpf(BPF_OBJ_GET_INFO_BY_FD, ask) == 0 &&
            std::string_view(info.name) == "cloudlet_dev")
            return fd;
    }
    return {};
}

} // namespace

Result<> set_device_program(const std::string& folder, const std::vector<DeviceRule>& rules) {
    const io::UniqueFd group = TRY(io::open_file(folder, O_RDONLY | O_DIRECTORY));
    const io::UniqueFd program = TRY(load(program_for(rules)));
    const io::UniqueFd old = attached_program(group.get());
    bpf_attr attach{};
    attach.target_fd = static_cast<uint32_t>(group.get());
    attach.attach_bpf_fd = static_cast<uint32_t>(program.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI | (old ? BPF_F_REPLACE : 0u);
    if (old) attach.replace_bpf_fd = static_cast<uint32_t>(old.get());
    if (bpf(BPF_PROG_ATTACH, attach) != 0)
        return fail_errno(fmt::format("attach device rules to cgroup {}", folder));
    return {};
}

} // namespace cloudlet::linux
