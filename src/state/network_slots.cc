#include "state/network_slots.h"

#include <optional>

namespace msb::state {

Result<uint16_t> network_slot(Database& database, const std::string& sandbox) {
  // One statement, so that two processes do not take the same.
  MSB_CHECK_CTX(database.run("INSERT INTO network_slot (slot, sandbox) SELECT min(candidate), ? FROM "
                             "(SELECT 0 AS candidate UNION ALL SELECT slot + 1 FROM network_slot) "
                             "WHERE candidate NOT IN (SELECT slot FROM network_slot) "
                             "ON CONFLICT (sandbox) DO NOTHING",
                             {sandbox}),
                "give the sandbox a network");
  std::optional<int64_t> slot;
  MSB_CHECK(database.query("SELECT slot FROM network_slot WHERE sandbox = ?", {sandbox},
                           [&](const Row& row) { slot = row.integer(0); }));
  if (!slot) return fail(ErrorKind::database, cat("sandbox '", sandbox, "' has no network slot"));
  return static_cast<uint16_t>(*slot);
}

}  // namespace msb::state
