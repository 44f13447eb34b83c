// What a machine's own library says of it, in the words of vmm::Machine: both machines report alike.
#pragma once

#include "base/cat.h"
#include "fence/walls.h"
#include "vmm/machine.h"

namespace msb::vmm {

// Exit: qemu::MachineExit or kvm::MachineExit.
template <class Exit>
MachineEnd to_machine_end(const Exit& exit) {
  using Cause = typename Exit::Cause;
  MachineEnd end;
  switch (exit.cause) {
    case Cause::guest:
      end.cause = MachineEnd::Cause::guest;
      return end;
    case Cause::requested:
      end.cause = MachineEnd::Cause::requested;
      return end;
    case Cause::killed:
      end.cause = MachineEnd::Cause::killed;
      break;
    case Cause::failed:
      end.cause = MachineEnd::Cause::failed;
      break;
  }
  Error error = exit.to_error();
  end.message = error.to_string();
  if (!error.hints().empty()) end.hint = error.hints().front();
  return end;
}

// `whose` names what stands behind them, when it is not the machine: "share-", "network-".
inline void add_walls(std::vector<Wall>& walls, const fence::WallReports& reports, std::string_view whose = {}) {
  for (const auto& report : reports)
    walls.push_back({cat(whose, fence::wall_name(report.wall)), report.up, report.reason});
}

}  // namespace msb::vmm
