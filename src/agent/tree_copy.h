// A copy of a whole file system tree: owners, modes, times, hard links, devices, holes and extended attributes are
// kept. What is mounted below it is copied too. Needs /proc.
#pragma once

#include <string>

#include "base/result.h"

namespace msb::agent {

// `target` is made, and must not be there. Errors name the file; what was copied until then stays.
Result<> copy_tree(const std::string& source, const std::string& target);

// Removes a directory with everything in it; a missing one is success.
Result<> remove_tree(const std::string& path);

}  // namespace msb::agent
