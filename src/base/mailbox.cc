#include "base/mailbox.h"

#include <sys/eventfd.h>

#include <future>

namespace msb {

Result<std::unique_ptr<Mailbox>> Mailbox::create(Reactor& reactor) {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno("create an eventfd");
  std::unique_ptr<Mailbox> mailbox(new Mailbox(std::move(event)));
  MSB_TRY(mailbox->watch_,
          reactor.watch(mailbox->event_.get(), EPOLLIN, [self = mailbox.get()](uint32_t) { self->deliver(); }));
  return mailbox;
}

void Mailbox::post(Task task) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (first) (void)::eventfd_write(event_.get(), 1);
}

void Mailbox::run(Task task) {
  std::promise<void> done;
  post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

void Mailbox::deliver() {
  eventfd_t count = 0;
  (void)::eventfd_read(event_.get(), &count);
  std::vector<Task> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) task();
}

}  // namespace msb
