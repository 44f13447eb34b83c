#include "image/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/json.h"

namespace msb::image {
namespace {

using testing::HasSubstr;

std::string digest(char c) {
  return "sha256:" + std::string(64, c);
}

std::string entry(std::string_view platform, char c) {
  return cat(R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":")", digest(c), R"(")",
             platform.empty() ? "" : cat(R"(,"platform":)", platform), "}");
}

std::string chosen(const std::string& entries, const Platform& host) {
  auto parsed = parse_manifest(cat(R"({"schemaVersion":2,"manifests":[)", entries, "]}"), "");
  if (!parsed) return "error: " + parsed.error().message();
  auto selected = select_platform(std::get<Index>(*parsed), host, "x");
  return selected ? selected->digest.hex().substr(0, 1) : "error: " + selected.error().message();
}

constexpr const char* kAmd64 = R"({"os":"linux","architecture":"amd64"})";
constexpr const char* kAmd64v3 = R"({"os":"linux","architecture":"amd64","variant":"v3"})";
constexpr const char* kAmd64v2 = R"({"os":"linux","architecture":"amd64","variant":"v2"})";
constexpr const char* kArm64 = R"({"os":"linux","architecture":"arm64","variant":"v8"})";
constexpr const char* kWindows = R"({"os":"windows","architecture":"amd64"})";
constexpr const char* kUnknown = R"({"os":"unknown","architecture":"unknown"})";
const Platform kHostAmd64{"linux", "amd64", ""};
const Platform kHostArm64{"linux", "arm64", "v8"};

TEST(SelectPlatform, TakesTheHostsArchitecture) {
  const std::string entries =
      entry(kWindows, 'a') + "," + entry(kArm64, 'b') + "," + entry(kAmd64, 'c') + "," + entry(kUnknown, 'd');
  EXPECT_EQ(chosen(entries, kHostAmd64), "c");
  EXPECT_EQ(chosen(entries, kHostArm64), "b");
}

TEST(SelectPlatform, PrefersTheHumblestVariant) {
  EXPECT_EQ(chosen(entry(kAmd64v3, 'a') + "," + entry(kAmd64v2, 'b'), kHostAmd64), "b");
  EXPECT_EQ(chosen(entry(kAmd64v3, 'a') + "," + entry(kAmd64, 'b'), kHostAmd64), "b");
}

TEST(SelectPlatform, ArmWithoutVariantIsV8) {
  EXPECT_EQ(chosen(entry(R"({"os":"linux","architecture":"arm64"})", 'a'), kHostArm64), "a");
}

TEST(SelectPlatform, NothingForTheHostNamesWhatThereIs) {
  auto parsed = parse_manifest(cat(R"({"manifests":[)", entry(kArm64, 'b'), "]}"), "");
  ASSERT_TRUE(parsed);
  auto selected = select_platform(std::get<Index>(*parsed), kHostAmd64, "python");
  ASSERT_FALSE(selected);
  EXPECT_EQ(selected.error().kind(), ErrorKind::image_not_found);
  ASSERT_FALSE(selected.error().hints().empty());
  EXPECT_THAT(selected.error().hints()[0], HasSubstr("linux/arm64/v8"));
}

TEST(SelectPlatform, ASingleEntryWithoutPlatformIsTaken) {
  EXPECT_EQ(chosen(entry("", 'e'), kHostAmd64), "e");
}

TEST(ParseManifest, ReadsDockerSchema2) {
  const std::string text =
      cat(R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)",
          R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":5,"digest":")", digest('a'),
          R"("},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":6,"digest":")",
          digest('b'), R"("}]})");
  auto parsed = parse_manifest(text, "");
  ASSERT_TRUE(parsed);
  const auto& manifest = std::get<Manifest>(*parsed);
  EXPECT_EQ(manifest.config.size, 5u);
  ASSERT_EQ(manifest.layers.size(), 1u);
  EXPECT_EQ(manifest.layers[0].digest.str(), digest('b'));
}

TEST(ParseManifest, Schema1IsRefusedWithAHint) {
  auto parsed = parse_manifest(R"({"schemaVersion":1,"fsLayers":[],"history":[]})", "");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind(), ErrorKind::unsupported);
  EXPECT_FALSE(parsed.error().hints().empty());
}

TEST(ParseManifest, AnArtifactIsNotAnImage) {
  const std::string text =
      cat(R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":")",
          digest('a'),
          R"("},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","size":6,"digest":")",
          digest('b'), R"("}]})");
  auto parsed = parse_manifest(text, media_type::kOciManifest);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind(), ErrorKind::unsupported);
}

class BadManifest : public testing::TestWithParam<std::string> {};
TEST_P(BadManifest, IsRefused) {
  EXPECT_FALSE(parse_manifest(GetParam(), media_type::kOciManifest));
}
INSTANTIATE_TEST_SUITE_P(
    All, BadManifest,
    testing::Values("", "[]", "3", "{", "{}", R"({"config":{}})", R"({"config":{},"layers":[]})",
                    R"({"config":{"digest":"sha256:zz","size":1},"layers":[]})",
                    cat(R"({"config":{"digest":")", digest('a'), R"(","size":-1},"layers":[]})"),
                    cat(R"({"config":{"digest":")", digest('a'), R"(","size":99999999},"layers":[]})"),
                    cat(R"({"config":{"digest":")", digest('a'),
                        R"(","size":1},"layers":[{"size":99999999999999,"digest":")", digest('b'), R"("}]})"),
                    std::string(5 << 20, ' '), std::string(1000, '[') + std::string(1000, ']')));

TEST(ParseConfig, ReadsWhatASandboxNeeds) {
  auto config =
      parse_config(cat(R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[")", digest('a'),
                       R"("]},"config":{"Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c"],"WorkingDir":"/w","User":"u",)",
                       R"("Labels":{"k":"v"},"StopSignal":"SIGINT"}})"));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->config.env, std::vector<std::string>{"A=b"});
  EXPECT_EQ(config->config.entrypoint, std::vector<std::string>{"/e"});
  EXPECT_EQ(config->config.cmd, std::vector<std::string>{"c"});
  EXPECT_EQ(config->config.working_dir, "/w");
  EXPECT_EQ(config->config.user, "u");
  EXPECT_EQ(config->config.labels.at("k"), "v");
  EXPECT_EQ(config->config.stop_signal, "SIGINT");
  EXPECT_EQ(config->diff_ids.size(), 1u);
}

TEST(ParseConfig, NullMembersAreAbsent) {
  auto config = parse_config(R"({"rootfs":{"diff_ids":[]},"config":{"Env":null,"Cmd":null,"Labels":null}})");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->config.cmd.empty());
}

TEST(ParseConfig, LayersOfManifestAndConfigMustAgree) {
  auto config = parse_config(R"({"rootfs":{"diff_ids":[]}})");
  ASSERT_TRUE(config);
  Manifest manifest;
  manifest.layers.resize(1);
  EXPECT_FALSE(check_layers_match(manifest, *config));
}

}  // namespace
}  // namespace msb::image
