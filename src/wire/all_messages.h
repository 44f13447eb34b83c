// The list of every message, for code that must treat them all alike (tests, fuzzing, tracing).
#pragma once

#include "wire/file_messages.h"
#include "wire/measure_messages.h"
#include "wire/messages.h"

namespace msb::wire {

// Calls visit.template operator()<T>() for each message type T.
template <class Visitor>
void for_each_message(Visitor&& visit) {
  auto each = [&]<class... Ts>() { (visit.template operator()<Ts>(), ...); };
  each.template
  operator()<Bootstrap, Ready, BootFailed, Shutdown, ClockSync, ClientDisconnected, ExecRequest, ExecStarted, ExecStdin,
             ExecStdinError, ExecStdout, ExecStderr, ExecCredit, ExecResize, ExecSignal, ExecDetach, ExecExited,
             ExecFailed, FileRequest, FileStarted, FileData, FileCredit, FileResult, FileEntry, TreeEntry, TreeData,
             TreeHole, TreeEnd, TreeLeave, Ping, Pong, Touch, Touched, MeasureMachine, MachineMeasured, MeasureGuest,
             GuestMeasured, ProtocolError>();
}

}  // namespace msb::wire
