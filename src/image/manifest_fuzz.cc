// The first byte chooses the document; the rest is what a registry might send.
#include "image/challenge.h"
#include "image/manifest.h"
#include "image/settings.h"
#include "image/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb::image;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0: {
      const auto parsed = parse_manifest(text, media_type::kOciIndex);
      const auto* index = parsed ? std::get_if<Index>(&*parsed) : nullptr;
      if (index != nullptr) (void)select_platform(*index, {"linux", "amd64", ""}, "fuzz");
      break;
    }
    case 1:
      (void)parse_config(text);
      break;
    case 2:
      (void)parse_challenges(text);
      break;
    case 3:
      (void)RegistrySettings::parse(text, "config.json");
      break;
    default:
      if (const auto base = Url::parse("https://registry.example/v2/a/b?c")) (void)base->resolve(text);
  }
  return 0;
}
