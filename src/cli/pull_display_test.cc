#include "cli/pull_display.h"

#include <gmock/gmock.h>

namespace msb::cli {
namespace {

using Kind = PullEvent::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

PullEvent event(Kind kind, uint32_t layer = 0) {
  PullEvent event;
  event.kind = kind;
  event.reference = "docker.io/library/python:latest";
  event.layer_index = layer;
  event.layer_count = 2;
  event.digest = "sha256:0123456789abcdef";
  event.total_bytes = 2048;
  return event;
}

TEST(PullDisplay, shows_the_reference_while_it_resolves) {
  PullDisplay display(Quiet::yes);
  display.on_event(event(Kind::resolving));
  EXPECT_THAT(display.lines(80), ElementsAre("Resolving docker.io/library/python:latest"));
}

TEST(PullDisplay, a_moving_layer_has_a_line_and_the_total_adds_up) {
  PullDisplay display(Quiet::yes);
  display.on_event(event(Kind::resolving));
  display.on_event(event(Kind::resolved));
  auto progress = event(Kind::layer_download_progress, 1);
  progress.downloaded_bytes = 1024;
  display.on_event(progress);
  EXPECT_THAT(display.lines(120),
              ElementsAre("  0123456789ab [============            ] 1.0 KiB / 2.0 KiB",
                          "Pulling docker.io/library/python:latest  0/2 layers  1.0 KiB of 2.0 KiB"));
}

TEST(PullDisplay, finished_layers_are_counted_and_leave_the_list) {
  PullDisplay display(Quiet::yes);
  display.on_event(event(Kind::resolved));
  display.on_event(event(Kind::layer_materialize_complete, 0));
  EXPECT_THAT(display.lines(120), ElementsAre(HasSubstr("1/2 layers")));
}

TEST(PullDisplay, an_event_for_a_layer_that_does_not_exist_is_ignored) {
  PullDisplay display(Quiet::yes);
  display.on_event(event(Kind::resolved));
  display.on_event(event(Kind::layer_download_progress, 7));
  EXPECT_THAT(display.lines(120), ElementsAre(HasSubstr("0/2 layers")));
}

}  // namespace
}  // namespace msb::cli
