#include "virtio/console_device.h"

#include <array>

#include "virtio/config_space.h"

namespace msb::virtio {
namespace {

constexpr uint64_t kMultiport = uint64_t{1} << 1;

// Queues (5.3.2): port 0, control, port 1. The driver fills every receive queue with buffers of 4 KiB at boot, so they
// are no longer than useful: control carries three messages at once, one comes out at a time; data moves 128 KiB
// between two interrupts.
constexpr uint16_t kControlIn = 2;
constexpr uint16_t kControlOut = 3;
constexpr uint16_t kUnused = 2;
constexpr uint16_t kControl = 4;
constexpr uint16_t kData = 32;
constexpr uint16_t kSizesPort0[] = {kData, kData, kControl, kControl};
constexpr uint16_t kSizesPort1[] = {kUnused, kUnused, kControl, kControl, kData, kData};

constexpr size_t kMaxName = 64;

// Control messages (5.3.6.2).
constexpr uint16_t kDeviceReady = 0;
constexpr uint16_t kPortAdd = 1;
constexpr uint16_t kPortOpen = 6;
constexpr uint16_t kPortName = 7;
constexpr size_t kMessageSize = 8;

}  // namespace

// struct virtio_console_control, and what follows it.
struct ConsoleDevice::Message {
  uint32_t port = 0;
  uint16_t event = 0;
  uint16_t value = 0;
  std::string_view text = {};
};

Result<std::unique_ptr<ConsoleDevice>> ConsoleDevice::create(Reactor& reactor, Settings settings) {
  if (settings.port > 1) return fail(ErrorKind::invalid_config, cat("console: there is no port ", settings.port));
  if (settings.name.empty() || settings.name.size() > kMaxName)
    return fail(ErrorKind::invalid_config, cat("console: the port's name needs 1 to ", kMaxName, " bytes"));
  MSB_CHECK(set_blocking(settings.socket.get(), Blocking::no));
  return std::unique_ptr<ConsoleDevice>(new ConsoleDevice(reactor, std::move(settings)));
}

uint64_t ConsoleDevice::features() const {
  return kMultiport;
}

std::span<const uint16_t> ConsoleDevice::queue_sizes() const {
  if (settings_.port == 0) return kSizesPort0;
  return kSizesPort1;
}

uint16_t ConsoleDevice::receive_queue() const {
  return settings_.port == 0 ? 0 : 4;
}

void ConsoleDevice::read_config(uint32_t offset, MutableByteView out) const {
  // Columns, rows (both only with F_SIZE), max_nr_ports.
  std::array<uint8_t, 8> config{};
  store_le<uint32_t>(&config[4], settings_.port + 1u);
  copy_config(config, offset, out);
}

Result<> ConsoleDevice::activate(Activation activation) {
  auto started = start(std::move(activation));
  if (!started) reset();
  return started;
}

Result<> ConsoleDevice::start(Activation activation) {
  if (!(activation.features & kMultiport))
    return fail(ErrorKind::protocol, "the driver of the console does not know ports");
  context_ = activation.context;
  auto& queues = activation.queues;
  queues.resize(queue_sizes().size());

  control_in_ = std::move(queues[kControlIn]);
  if (!control_in_) return fail(ErrorKind::protocol, "the driver left the console's control queue disabled");
  // Kicked only when there was something to say and no buffer for it.
  control_in_->queue.disable_kicks();
  MSB_TRY(control_in_watch_, watch_kick(reactor_, control_in_->kick, [this] {
            control_in_->queue.disable_kicks();
            if (auto sent = send_pending(); !sent) broken(sent.error());
          }));
  MSB_TRY(control_out_, ServedQueue::create(reactor_, *context_, kControlOut, std::move(queues[kControlOut]),
                                            {.request = [this](Chain chain) { return control(std::move(chain)); },
                                             .broken = [this](const Error& what) { broken(what); }}));
  const uint16_t receive = receive_queue();
  const uint16_t transmit = receive + 1;
  MSB_TRY(stream_, PortStream::create(reactor_, settings_.socket.get(), *context_,
                                      {.receive_index = receive,
                                       .transmit_index = transmit,
                                       .receive = std::move(queues[receive]),
                                       .transmit = std::move(queues[transmit])},
                                      {.activity = settings_.activity,
                                       .hangup = [this] { hangup(); },
                                       .broken = [this](const Error& what) { broken(what); }}));
  return {};
}

void ConsoleDevice::reset() {
  stream_.reset();
  control_out_.reset();
  control_in_watch_.reset();
  control_in_.reset();
  context_ = nullptr;
  state_.pending_add = state_.pending_name = state_.pending_open = false;
  note_guest_open(false);
}

void ConsoleDevice::broken(const Error& what) {
  DeviceContext* context = context_;
  reset();
  context->broken(what);
}

void ConsoleDevice::note_guest_open(bool open) {
  if (std::exchange(state_.guest_open, open) != open && settings_.opened) settings_.opened(open);
}

void ConsoleDevice::hangup() {
  state_.host_open = false;
  state_.pending_open = true;
  if (auto sent = send_pending(); !sent) broken(sent.error());
}

Result<> ConsoleDevice::control(Chain chain) {
  std::array<uint8_t, kMessageSize> raw;
  const bool whole = chain.read(0, raw) == raw.size();
  // The guest spins until it has its buffer back.
  MSB_CHECK(control_out_->complete(std::move(chain), 0));
  if (!whole) return {};  // as QEMU does: not for us
  return handle(
      {.port = load_le<uint32_t>(&raw[0]), .event = load_le<uint16_t>(&raw[4]), .value = load_le<uint16_t>(&raw[6])});
}

Result<> ConsoleDevice::handle(const Message& message) {
  if (message.event == kDeviceReady && message.value == 1) {
    state_.pending_add = state_.pending_name = state_.pending_open = true;
    return send_pending();
  }
  if (message.event == kPortOpen && message.port == settings_.port) {
    const bool open = message.value != 0;
    note_guest_open(open);
    return stream_->set_open(open);
  }
  // PORT_READY: all has been said already. What we do not know is not for us.
  return {};
}

Result<> ConsoleDevice::send_pending() {
  while (state_.pending_add || state_.pending_name || state_.pending_open) {
    MSB_TRY(auto chain, control_in_->queue.pop());
    if (!chain) {
      MSB_TRY(bool more, control_in_->queue.enable_kicks());
      if (more) continue;
      break;
    }
    if (std::exchange(state_.pending_add, false))
      MSB_CHECK(send({.port = settings_.port, .event = kPortAdd, .value = 1}, std::move(*chain)));
    else if (std::exchange(state_.pending_name, false))
      MSB_CHECK(
          send({.port = settings_.port, .event = kPortName, .value = 1, .text = settings_.name}, std::move(*chain)));
    else if (std::exchange(state_.pending_open, false))
      MSB_CHECK(
          send({.port = settings_.port, .event = kPortOpen, .value = state_.host_open ? uint16_t{1} : uint16_t{0}},
               std::move(*chain)));
  }
  MSB_TRY(bool wanted, control_in_->queue.wants_interrupt());
  if (wanted) context_->interrupt(kControlIn);
  return {};
}

Result<> ConsoleDevice::send(const Message& message, Chain chain) {
  std::array<uint8_t, kMessageSize + kMaxName> raw;
  store_le<uint32_t>(&raw[0], message.port);
  store_le<uint16_t>(&raw[4], message.event);
  store_le<uint16_t>(&raw[6], message.value);
  std::ranges::copy(message.text, raw.begin() + kMessageSize);
  const size_t size = kMessageSize + message.text.size();
  if (chain.write(0, ByteView(raw.data(), size)) != size)
    return fail(ErrorKind::protocol, "a control buffer too small for a message");
  return control_in_->queue.complete(std::move(chain), static_cast<uint32_t>(size));
}

}  // namespace msb::virtio
