#include "cli/pull_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace msb::cli {
namespace {

// Redraw at most this often: a terminal over ssh should not become the bottleneck.
constexpr auto kRedrawInterval = std::chrono::milliseconds(80);
// Layers shown; the rest is in the total.
constexpr size_t kMaxLayerLines = 8;
constexpr size_t kBarWidth = 24;

size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

std::string bar(uint64_t done, uint64_t total) {
  size_t filled = total == 0 ? 0 : static_cast<size_t>(std::min(done, total) * kBarWidth / total);
  return "[" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') + "]";
}

std::string short_digest(const std::string& digest) {
  auto colon = digest.find(':');
  return digest.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

std::string pad(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

}  // namespace

PullDisplay::PullDisplay(Quiet quiet) : live_(quiet == Quiet::no && stderr_is_terminal()) {}
PullDisplay::~PullDisplay() {
  wipe();
}

PullProgress PullDisplay::callback() {
  if (!live_) return {};
  return [this](const PullEvent& event) { on_event(event); };
}

void PullDisplay::on_event(const PullEvent& event) {
  using Kind = PullEvent::Kind;
  if (event.kind == Kind::resolving) reference_ = event.reference;
  if (event.kind == Kind::resolved) {
    resolved_ = true;
    layers_.resize(event.layer_count);
    total_bytes_ = event.total_bytes;
  }
  if (event.layer_index < layers_.size()) {
    auto& layer = layers_[event.layer_index];
    if (!event.digest.empty()) layer.digest = event.digest;
    if (event.kind == Kind::layer_download_progress) {
      layer.state = Layer::State::downloading;
      layer.downloaded = event.downloaded_bytes;
      layer.total = event.total_bytes;
    }
    if (event.kind == Kind::layer_download_complete) layer.state = Layer::State::converting;
    if (event.kind == Kind::layer_materialize_complete) {
      layer.state = Layer::State::done;
      layer.cached = event.cached;
    }
  }
  if (event.kind == Kind::stitch_complete) stitched_ = true;
  if (event.kind == Kind::complete) return wipe();
  auto now = std::chrono::steady_clock::now();
  if (!live_ || now < next_redraw_) return;
  next_redraw_ = now + kRedrawInterval;
  redraw();
}

std::vector<std::string> PullDisplay::lines(size_t columns) const {
  if (!resolved_) return {cat("Resolving ", printable(reference_)).substr(0, columns)};
  std::vector<std::string> lines;
  uint64_t downloaded = 0;
  size_t done = 0;
  for (const auto& layer : layers_) {
    downloaded += layer.downloaded;
    done += layer.state == Layer::State::done ? 1 : 0;
    // Finished layers make room for those still moving.
    bool show = layer.state == Layer::State::downloading || layer.state == Layer::State::converting;
    if (!show || lines.size() >= kMaxLayerLines) continue;
    std::string state = layer.state == Layer::State::converting
                            ? "converting"
                            : cat(format_size(layer.downloaded), " / ", format_size(layer.total));
    lines.push_back(cat("  ", pad(short_digest(layer.digest), 13), bar(layer.downloaded, layer.total), " ", state));
  }
  std::string phase = stitched_ ? "merged" : cat(done, "/", layers_.size(), " layers");
  lines.push_back(cat("Pulling ", printable(reference_, 40), "  ", phase, "  ", format_size(downloaded), " of ",
                      format_size(total_bytes_)));
  for (auto& line : lines) line = line.substr(0, columns - 1);
  return lines;
}

void PullDisplay::redraw() {
  std::string frame;
  if (lines_on_screen_ > 0) frame += cat("\x1b[", lines_on_screen_, "A\r\x1b[J");
  auto now = lines(terminal_columns());
  for (const auto& line : now) frame += line + "\n";
  lines_on_screen_ = now.size();
  std::fwrite(frame.data(), 1, frame.size(), stderr);
}

void PullDisplay::wipe() {
  if (!live_ || lines_on_screen_ == 0) return;
  std::fprintf(stderr, "\x1b[%zuA\r\x1b[J", lines_on_screen_);
  lines_on_screen_ = 0;
}

}  // namespace msb::cli
