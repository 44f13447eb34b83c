#include "agent/file_session.h"

#include <linux/close_range.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "agent/file_operation.h"

namespace msb::agent {
namespace {

// A result is some paths and words; it fits into an empty pipe, so that its writer never waits.
constexpr size_t kMaxResult = 32 * 1024;

struct Pipes {
  Pipe input, output, result;

  static Result<Pipes> open() {
    Pipes pipes;
    MSB_TRY(pipes.input, make_pipe());
    MSB_TRY(pipes.output, make_pipe());
    MSB_TRY(pipes.result, make_pipe());
    MSB_CHECK(set_blocking(pipes.input.write.get(), Blocking::no));
    MSB_CHECK(set_blocking(pipes.output.read.get(), Blocking::no));
    MSB_CHECK(set_blocking(pipes.result.read.get(), Blocking::no));
    return pipes;
  }
};

// The child: nothing of the agent may run in it any more but this.
[[noreturn]] void work(const wire::FileRequest& request, const Pipes& pipes) {
  ::setpgid(0, 0);
  ::umask(0);
  // Above the three numbers first: one of them could be one of ours.
  int ends[3] = {::fcntl(pipes.input.read.get(), F_DUPFD, 16), ::fcntl(pipes.output.write.get(), F_DUPFD, 16),
                 ::fcntl(pipes.result.write.get(), F_DUPFD, 16)};
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(ends[fd], fd) < 0) ::_exit(1);
  }
  // Other sessions' pipes would not end while we hold them.
  ::close_range(3, ~0U, 0);
  // SIGPIPE stays blocked: a reader that has gone is an error like others.
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::sigprocmask(SIG_SETMASK, &pipe, nullptr);
  Bytes result = run_file_operation(request, 0, 1);
  ::_exit(write_full(2, result) ? 0 : 1);
}

wire::FileResult no_result(std::string_view what, int errnum) {
  wire::FileResult result;
  result.errnum = errnum;
  result.message = Error::from_errno(errnum, what).message();
  return result;
}

}  // namespace

tl::expected<std::unique_ptr<Session>, wire::FileResult> FileSession::start(Reactor& reactor, Channel& channel,
                                                                            uint32_t id,
                                                                            const wire::FileRequest& request,
                                                                            std::function<void(Session&)> on_finished) {
  if (auto refused = refuse_request(request)) return tl::unexpected(std::move(*refused));
  auto pipes = Pipes::open();
  if (!pipes) return tl::unexpected(no_result("open the pipes of a worker", pipes.error().errnum()));
  // No handler of ours may run in the child.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  pid_t pid = ::fork();
  if (pid == 0) work(request, *pipes);
  int errnum = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return tl::unexpected(no_result("start a worker", errnum));
  // Here too: it may have to be killed, by its group, before it has run.
  ::setpgid(pid, pid);
  std::unique_ptr<FileSession> session(
      new FileSession(channel, id, std::move(pipes->result.read), std::move(on_finished)));
  std::unique_ptr<Input> input;
  bool takes_input =
      request.operation == wire::FileOperation::write || request.operation == wire::FileOperation::import_tree;
  if (takes_input) {
    channel.send(id, 0, wire::FileStarted{wire::kStreamWindow});
    // A worker that has ended says why in its result.
    Input::Options options{Input::Kind::pipe, wire::kStreamWindow,
                           [&channel, id](uint64_t bytes) { channel.send(id, 0, wire::FileCredit{bytes}); },
                           [](int) {}};
    input = std::make_unique<Input>(reactor, std::move(pipes->input.write), std::move(options));
  }
  auto output = std::make_unique<Output>(
      reactor, channel, std::move(pipes->output.read),
      Output::Options{id, wire::FileData::kType, request.window, 0, [raw = session.get()] { raw->finish_if_done(); }});
  session->begin(pid, std::move(input), std::move(output), nullptr);
  return session;
}

void FileSession::on_exit(int, bool) {
  outcome_.resize(kMaxResult);
  auto count = read_some(result_.get(), outcome_);
  outcome_.resize(count.value_or(0));
  result_.reset();
  // Killed: by somebody in the guest, or for lack of memory.
  if (outcome_.empty()) outcome_ = wire::encode(no_result("the worker was killed", EINTR));
}

void FileSession::send_outcome() {
  channel_.send(wire::make_frame(id(), wire::kFlagTerminal, wire::FileResult::kType, outcome_));
}

}  // namespace msb::agent
