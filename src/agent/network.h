// The guest's network interfaces, set up over netlink: no program of the image is needed.
#pragma once

#include "base/result.h"
#include "wire/messages.h"

namespace msb::agent {

Result<> bring_up_loopback();

// eth0 with its addresses, up, and the default routes. Addresses count at once (no duplicate address detection: there
// is nobody else on the link).
Result<> bring_up_network(const wire::NetworkSetup& setup);

}  // namespace msb::agent
