// Lists the images in the cache; with an argument, pulls that one first and shows the progress.
//   example_images [IMAGE]
#include <iostream>

#include <microsandbox/image.h>

namespace {

int report(const msb::Error& error) {
  std::cerr << "error: " << error.to_string() << "\n";
  for (const auto& hint : error.hints()) std::cerr << "  -> " << hint << "\n";
  return 1;
}

void show(const msb::PullEvent& event) {
  if (event.kind == msb::PullEvent::Kind::resolved)
    std::cout << event.manifest_digest << ": " << event.layer_count << " layers, " << event.total_bytes << " bytes\n";
  if (event.kind == msb::PullEvent::Kind::layer_materialize_complete)
    std::cout << "layer " << event.layer_index + 1 << (event.cached ? " was there\n" : " is there\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    msb::PullOptions options;
    options.progress = show;
    auto image = msb::Image::pull(argv[1], options);
    if (!image) return report(image.error());
  }
  auto images = msb::Image::list();
  if (!images) return report(images.error());
  std::cout << images->size() << " images\n";
  for (const auto& image : *images) std::cout << image.reference << "  " << image.size_bytes << " bytes\n";
  return 0;
}
