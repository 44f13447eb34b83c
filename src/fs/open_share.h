// From a share as a machine's specification names it (a path and terms) to one that can be served (a descriptor).
//
//   for (const auto& spec : machine.shares) {
//     MSB_TRY(auto share, open_share(spec));
//     shares.push_back(std::move(share));
//   }
#pragma once

#include "base/result.h"
#include "fs/share.h"
#include "state/machine_spec.h"

namespace msb::fs {

ShareOptions options_of(const state::ShareSpec& spec);

// Opens the directory, and its quota if it has one. No part of its path may be a symbolic link: whoever named the share
// has followed those, and one that came later may be the work of a guest. Errors: path_not_found, invalid_config
// (something else is there now).
Result<Share> open_share(const state::ShareSpec& spec);

}  // namespace msb::fs
