// Network slots: a small number for each sandbox of a home, which its addresses on the link to the guest are made from.
// The smallest free one is taken; it is free again when the sandbox is removed.
#pragma once

#include <cstdint>
#include <string>

#include "state/database.h"

namespace msb::state {

// The sandbox's, which is given one if it has none. ErrorKind::database when all are taken, or there is no such
// sandbox.
Result<uint16_t> network_slot(Database& database, const std::string& sandbox);

}  // namespace msb::state
