// Paths of the host as users write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <microsandbox/mount.h>

#include "base/result.h"

namespace msb {

// "~" and "~/x" begin in $HOME.
Result<std::string> expand_home(std::string_view path);
// .raw and .img, .qcow2; in any case.
std::optional<DiskFormat> format_of_extension(std::string_view path);

}  // namespace msb
