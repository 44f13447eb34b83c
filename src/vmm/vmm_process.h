// The process of one sandbox: what `msb sandbox` runs. Not for people: everything comes from inherited
// descriptors (state/launch_config.h, docs/format/home.md).
#pragma once

namespace msb::vmm {

// The exit code of the process.
int run_vmm_process();

}  // namespace msb::vmm
