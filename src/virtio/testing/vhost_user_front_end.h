// VhostUserFrontEnd: QEMU's end of a vhost-user socket in tests: memory in a sealed memory file, a ring for each queue,
// and the messages in QEMU's order; or any bytes at all.
#pragma once

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/mmap.h"
#include "virtio/testing/ring_builder.h"
#include "virtio/vhost_user_message.h"

namespace msb::virtio::testing {

class VhostUserFrontEnd {
 public:
  static constexpr uint64_t kRam = 1 << 20, kGuest = 0x100000, kUser = 0x7f0000000000;

  VhostUserFrontEnd(Fd socket, std::vector<uint16_t> queue_sizes) : socket_(std::move(socket)) {
    for (uint16_t size : queue_sizes) {
      rings_.emplace_back(ram_, size, RingBuilder::kAllFeatures);
      kicks_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      calls_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
  }

  GuestRam& ram() { return ram_; }
  RingBuilder& ring(size_t index) { return rings_[index]; }
  void kick(size_t index) { require(::eventfd_write(kicks_[index].get(), 1) == 0); }
  bool interrupted(size_t index) {
    eventfd_t count = 0;
    return ::eventfd_read(calls_[index].get(), &count) == 0;
  }
  int memory_file() const { return memory_file_.get(); }
  void close() { socket_.reset(); }

  void send_raw(ByteView bytes, std::vector<int> fds = {}) {
    iovec vector{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(16 * sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    }
    require(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  static Bytes message(vhost_user::Request request, ByteView payload, uint32_t flags = vhost_user::kVersion) {
    vhost_user::Header header{static_cast<uint32_t>(request), flags, static_cast<uint32_t>(payload.size())};
    Bytes bytes(sizeof(header) + payload.size());
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::copy(payload.begin(), payload.end(), bytes.begin() + sizeof(header));
    return bytes;
  }
  void send(vhost_user::Request request, const Bytes& payload = {}, std::vector<int> fds = {},
            uint32_t flags = vhost_user::kVersion) {
    send_raw(message(request, payload, flags), std::move(fds));
  }
  // The payload of an answer that has come.
  Bytes take_reply() {
    Bytes bytes(4096);
    ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    require(count >= 12);
    bytes.resize(static_cast<size_t>(count));
    return {bytes.begin() + 12, bytes.end()};
  }

  // What QEMU says before the guest's driver can use the device.
  void set_up(uint64_t features) {
    using enum vhost_user::Request;
    send(set_owner);
    send(set_features, vhost_user::number_payload(features | vhost_user::kFeatureProtocol));
    set_memory();
    for (uint32_t i = 0; i < rings_.size(); ++i) set_up_ring(i);
  }
  void set_memory(uint64_t guest = kGuest, uint64_t size = kRam, uint64_t user = kUser, uint64_t offset = 0) {
    Bytes table(8 + 32);
    store_le<uint32_t>(&table[0], 1);
    store_le<uint64_t>(&table[8], guest);
    store_le<uint64_t>(&table[16], size);
    store_le<uint64_t>(&table[24], user);
    store_le<uint64_t>(&table[32], offset);
    send(vhost_user::Request::set_mem_table, table, {memory_file_.get()});
  }
  void set_up_ring(uint32_t i, uint32_t base = 0) {
    using enum vhost_user::Request;
    const QueueLayout& layout = rings_[i].layout();
    auto user = [](GuestAddress address) { return to_number(address) - kGuest + kUser; };
    Bytes addresses(40);
    store_le<uint32_t>(&addresses[0], i);
    store_le<uint64_t>(&addresses[8], user(layout.descriptors));
    store_le<uint64_t>(&addresses[16], user(layout.device));
    store_le<uint64_t>(&addresses[24], user(layout.driver));
    send(set_vring_num, vhost_user::ring_state_payload({i, layout.size}));
    send(set_vring_base, vhost_user::ring_state_payload({i, base}));
    send(set_vring_addr, addresses);
    send(set_vring_kick, vhost_user::number_payload(i), {kicks_[i].get()});
    send(set_vring_call, vhost_user::number_payload(i), {calls_[i].get()});
    send(set_vring_enable, vhost_user::ring_state_payload({i, 1}));
  }

 private:
  static void require(bool condition) {
    if (!condition) std::abort();
  }
  static Fd make_memory_file() {
    Fd file(::memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    require(::ftruncate(file.get(), kRam) == 0);
    require(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    return file;
  }
  Fd socket_;
  Fd memory_file_ = make_memory_file();
  Mmap mapping_ = Mmap::shared(memory_file_.get(), kRam).value();
  GuestRam ram_{GuestRam::Block{kGuest, kRam}, mapping_.data()};
  std::vector<RingBuilder> rings_;
  std::vector<Fd> kicks_, calls_;
};

}  // namespace msb::virtio::testing
