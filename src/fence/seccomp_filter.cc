#include "fence/seccomp_filter.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/fd.h"

namespace msb::fence {
namespace {

class Program {
 public:
  static Result<Program> create(uint32_t default_action) {
    Program program;
    program.context_.reset(::seccomp_init(default_action));
    if (!program.context_) return fail(ErrorKind::internal, "libseccomp gave no filter");
    return program;
  }

  void add(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> arguments = {}) {
    int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) return;
    int result = ::seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(arguments.size()),
                                          arguments.begin());
    // EACCES: the same as the default action.
    if (result < 0 && result != -EACCES && error_ == 0) error_ = result;
  }

  void first(const char* name) {
    int number = ::seccomp_syscall_resolve_name(name);
    if (number >= 0) (void)::seccomp_syscall_priority(context_.get(), number, 255);
  }

  Result<std::vector<sock_filter>> finish() {
    if (error_ < 0) return fail_errno("build the seccomp filter", -error_);
    Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return fail_errno("create a memory file");
    if (int error = ::seccomp_export_bpf(context_.get(), file.get()); error < 0)
      return fail_errno("export the seccomp filter", -error);
    if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("rewind a memory file");
    MSB_TRY(Bytes bytes, read_all(file.get(), size_t{1} << 20));
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
    return program;
  }

 private:
  struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
  };
  std::unique_ptr<void, Release> context_;
  int error_ = 0;
};

void add_whole_calls(Program& program, const SeccompPolicy& policy) {
  for (const char* name : policy.frequent) program.first(name);
  for (const char* name : policy.allowed) program.add(SCMP_ACT_ALLOW, name);
  for (const auto& refused : policy.refused)
    program.add(SCMP_ACT_ERRNO(static_cast<uint32_t>(refused.error)), refused.name);
}

void add_shapes(Program& program, const SeccompPolicy& policy) {
  for (const auto& shape : policy.shapes)
    program.add(SCMP_ACT_ALLOW, shape.name,
                {scmp_arg_cmp{shape.argument, SCMP_CMP_MASKED_EQ, shape.mask, shape.value}});
}

}  // namespace

Result<SeccompFilter> build_seccomp_filter(const SeccompPolicy& policy) {
  SeccompFilter filter;
  MSB_TRY(Program calls, Program::create(SCMP_ACT_KILL_PROCESS));
  add_whole_calls(calls, policy);
  if (policy.other_shapes == SeccompPolicy::OtherShapes::kill) {
    add_shapes(calls, policy);
    MSB_TRY(filter.calls, calls.finish());
    return filter;
  }
  for (const auto& shape : policy.shapes) calls.add(SCMP_ACT_ALLOW, shape.name);
  MSB_TRY(filter.calls, calls.finish());
  MSB_TRY(Program arguments, Program::create(SCMP_ACT_ERRNO(EPERM)));
  add_whole_calls(arguments, policy);
  add_shapes(arguments, policy);
  MSB_TRY(filter.arguments, arguments.finish());
  return filter;
}

}  // namespace msb::fence
