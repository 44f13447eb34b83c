// msb: one file per command; see commands.h.
#include <string_view>

#include "cli/app.h"
#include "vmm/vmm_process.h"

int main(int argc, char** argv) {
  // Hidden: the process that runs one sandbox. It takes everything from inherited descriptors.
  if (argc == 2 && std::string_view(argv[1]) == "sandbox") return msb::vmm::run_vmm_process();
  auto invocation = msb::cli::split_arguments(argc, argv);
  return msb::cli::run_app(invocation);
}
