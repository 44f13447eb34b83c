#include "kvm/serial.h"

#include <sys/eventfd.h>

namespace msb::kvm {
namespace {

// Registers and bits of the 16550A (National Semiconductor PC16550D data sheet, 8.0).
enum Register : uint64_t {
  kData = 0,               // and the divisor's low byte
  kInterruptEnable = 1,    // and its high byte
  kInterruptIdentity = 2,  // reading; writing: FIFO control
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7,
};
constexpr uint8_t kEnableTransmit = 0x02, kEnableMask = 0x0f;
constexpr uint8_t kIdentityNone = 0x01, kIdentityTransmit = 0x02, kIdentityFifo = 0xc0;
constexpr uint8_t kFifoEnable = 0x01, kFifoMask = 0xc9;  // the bits that clear a FIFO clear themselves
constexpr uint8_t kDivisorLatch = 0x80;
constexpr uint8_t kModemMask = 0x1f, kLoopback = 0x10;
constexpr uint8_t kTransmitterIdle = 0x60;  // holding register and shift register empty
constexpr uint8_t kCarrierReadyClear = 0xb0;

}  // namespace

Result<std::unique_ptr<SerialPort>> SerialPort::create(Reactor& reactor, Mailbox& device_thread, int socket,
                                                       int interrupt) {
  MSB_CHECK(set_blocking(socket, Blocking::no));
  std::unique_ptr<SerialPort> port(new SerialPort(device_thread, socket, interrupt));
  MSB_TRY(port->watch_, reactor.watch(socket, 0, [self = port.get()](uint32_t events) {
    // The other side is gone: the guest may print on, to nobody.
    if (events & (EPOLLHUP | EPOLLERR)) {
      self->broken_ = true;
      self->watch_.reset();
    }
    if (self->flush() && self->when_drained_) self->when_drained_();
  }));
  return port;
}

void SerialPort::read(uint64_t offset, MutableByteView out) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < out.size(); ++i) out[i] = read_register(offset + i);
}

void SerialPort::write(uint64_t offset, ByteView bytes) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < bytes.size(); ++i) write_register(offset + i, bytes[i]);
}

uint8_t SerialPort::read_register(uint64_t offset) {
  bool divisor = (state_.line_control & kDivisorLatch) != 0;
  switch (offset) {
    case kData:
      return divisor ? static_cast<uint8_t>(state_.divisor) : 0;
    case kInterruptEnable:
      return divisor ? static_cast<uint8_t>(state_.divisor >> 8) : state_.interrupt_enable;
    case kInterruptIdentity: {
      uint8_t fifo = (state_.fifo_control & kFifoEnable) ? kIdentityFifo : 0;
      if (!interrupt_line()) return kIdentityNone | fifo;
      state_.transmit_interrupt = false;  // reading it is seeing it
      return kIdentityTransmit | fifo;
    }
    case kLineControl:
      return state_.line_control;
    case kModemControl:
      return state_.modem_control;
    case kLineStatus:
      return kTransmitterIdle;
    case kModemStatus: {
      if (!(state_.modem_control & kLoopback)) return kCarrierReadyClear;
      // In loopback the outputs are the inputs: RTS is CTS, DTR is DSR, OUT1 is RI, OUT2 is DCD.
      uint8_t out = state_.modem_control;
      return static_cast<uint8_t>(((out & 0x02) << 3) | ((out & 0x01) << 5) | ((out & 0x04) << 4) |
                                  ((out & 0x08) << 4));
    }
    case kScratch:
      return state_.scratch;
    default:
      return 0xff;
  }
}

void SerialPort::write_register(uint64_t offset, uint8_t value) {
  bool divisor = (state_.line_control & kDivisorLatch) != 0;
  switch (offset) {
    case kData:
      if (divisor) {
        state_.divisor = static_cast<uint16_t>((state_.divisor & 0xff00) | value);
      } else {
        // In loopback the byte would come back; nobody waits for it.
        if (!(state_.modem_control & kLoopback)) transmit(value);
        raise_transmit_interrupt(interrupt_line());
      }
      break;
    case kInterruptEnable:
      if (divisor) {
        state_.divisor = static_cast<uint16_t>((state_.divisor & 0x00ff) | (value << 8));
      } else {
        // The holding register is always empty, so enabling its interrupt raises it (8.5).
        bool before = interrupt_line();
        bool enables = (value & ~state_.interrupt_enable & kEnableTransmit) != 0;
        state_.interrupt_enable = value & kEnableMask;
        if (enables) raise_transmit_interrupt(before);
      }
      break;
    case kInterruptIdentity:
      state_.fifo_control = value & kFifoMask;
      break;
    case kLineControl:
      state_.line_control = value;
      break;
    case kModemControl:
      state_.modem_control = value & kModemMask;
      break;
    case kScratch:
      state_.scratch = value;
      break;
    default:
      break;
  }
}

bool SerialPort::interrupt_line() const {
  return state_.transmit_interrupt && (state_.interrupt_enable & kEnableTransmit);
}

void SerialPort::raise_transmit_interrupt(bool was_high) {
  state_.transmit_interrupt = true;
  if (!was_high && interrupt_line()) (void)::eventfd_write(interrupt_, 1);
}

void SerialPort::transmit(uint8_t byte) {
  if (pending_.size() == kBuffer) {
    // A quarter at once, so that not each further byte moves all others.
    pending_.erase(0, kBuffer / 4);
    dropped_ += kBuffer / 4;
  }
  pending_.push_back(static_cast<char>(byte));
  bool worth_it = byte == '\n' || pending_.size() >= kBatch;
  if (!worth_it || handed_over_) return;
  handed_over_ = true;
  device_thread_.post([this] { flush(); });
}

bool SerialPort::flush() {
  std::lock_guard lock(mutex_);
  if (dropped_ > 0 && !broken_) {
    pending_.insert(0, cat("\n[", dropped_, " bytes of console output were lost]\n"));
    dropped_ = 0;
  }
  while (!pending_.empty() && !broken_) {
    auto written = write_some(socket_, as_bytes(pending_));
    if (!written && written.error().errnum() == EAGAIN) {
      handed_over_ = true;  // until the socket takes more
      broken_ = !watch_.set_events(EPOLLOUT);
      if (!broken_) return false;
    } else if (!written) {
      broken_ = true;
    } else {
      pending_.erase(0, *written);
    }
  }
  if (broken_) pending_.clear();
  handed_over_ = false;
  if (watch_) (void)watch_.set_events(0);
  return true;
}

SerialState SerialPort::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

}  // namespace msb::kvm
