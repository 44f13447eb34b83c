// SerialPort: a 16550A that the guest's kernel prints on. Transmit only: nothing is ever received.
//
// Threads: read() and write() come from vCPU threads and never block; a line (or kBatch bytes without one) is handed to
// the device thread, which writes it to the socket. What the reader of the socket does not take is kept up to kBuffer
// bytes; then the oldest bytes go, and a line says how many. All other calls belong to the device thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/mailbox.h"
#include "base/reactor.h"

namespace msb::kvm {

inline constexpr uint64_t kSerialPort = 0x3f8;
inline constexpr uint32_t kSerialIrq = 4;

// The registers as the guest left them. Plain, to be saved and restored.
struct SerialState {
  uint8_t interrupt_enable = 0;
  uint8_t line_control = 0;
  uint8_t modem_control = 0;
  uint8_t scratch = 0;
  uint8_t fifo_control = 0;
  uint16_t divisor = 0;
  bool transmit_interrupt = false;  // "transmitter holding register empty" not yet seen by the guest
};

class SerialPort {
 public:
  static constexpr uint64_t kRegisters = 8;
  static constexpr size_t kBatch = 512;
  static constexpr size_t kBuffer = size_t{64} << 10;

  // `socket` is a non-blocking stream that outlives the port. `interrupt` is an eventfd, one write an edge.
  static Result<std::unique_ptr<SerialPort>> create(Reactor& reactor, Mailbox& device_thread, int socket,
                                                    int interrupt);

  void read(uint64_t offset, MutableByteView out);
  void write(uint64_t offset, ByteView bytes);

  // Writes what is left, also an unfinished line, as far as the socket takes it without waiting.
  // True when nothing is left.
  bool flush();
  // Called when a flush that was not complete has become so, or never can.
  void when_drained(std::function<void()> action) { when_drained_ = std::move(action); }
  SerialState state() const;

 private:
  SerialPort(Mailbox& device_thread, int socket, int interrupt)
      : device_thread_(device_thread), socket_(socket), interrupt_(interrupt) {}
  uint8_t read_register(uint64_t offset);
  void write_register(uint64_t offset, uint8_t value);
  void transmit(uint8_t byte);
  void raise_transmit_interrupt(bool was_high);
  bool interrupt_line() const;

  Mailbox& device_thread_;
  int socket_;
  int interrupt_;
  mutable std::mutex mutex_;
  SerialState state_;         // guarded by mutex_, as are these
  std::string pending_;       // from the guest, not yet written
  uint64_t dropped_ = 0;      // bytes since the last that was written
  bool handed_over_ = false;  // the device thread has been told
  // Device thread only.
  bool broken_ = false;
  Reactor::Watch watch_;
  std::function<void()> when_drained_;
};

}  // namespace msb::kvm
