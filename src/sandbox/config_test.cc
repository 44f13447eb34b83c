#include <gmock/gmock.h>

#include <fstream>

#include "sandbox/config_json.h"
#include "sandbox/detach_keys.h"
#include "sandbox/image_merge.h"
#include "sandbox/validate.h"

namespace msb {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

SandboxConfig valid() {
  SandboxConfig config;
  config.name = "demo";
  config.image.reference = "busybox";
  return config;
}

std::string refusal(const SandboxConfig& config) {
  auto result = validate(config);
  return result ? "" : result.error().message();
}

TEST(Validate, accepts_the_defaults) {
  EXPECT_EQ(refusal(valid()), "");
}

TEST(Validate, names) {
  for (const char* good : {"a", "A-b_c.d", "0", "msb-01234567"}) EXPECT_TRUE(validate_sandbox_name(good)) << good;
  for (const char* bad : {"", "-a", ".a", "_a", "a/b", "a b", "ü", ".."})
    EXPECT_FALSE(validate_sandbox_name(bad)) << bad;
  EXPECT_TRUE(validate_sandbox_name(std::string(128, 'a')));
  EXPECT_FALSE(validate_sandbox_name(std::string(129, 'a')));
}

TEST(Validate, generated_names_are_valid_and_differ) {
  std::string name = generate_sandbox_name();
  EXPECT_TRUE(validate_sandbox_name(name));
  EXPECT_TRUE(name.starts_with("msb-"));
  EXPECT_EQ(name.size(), 12u);
  EXPECT_NE(name, generate_sandbox_name());
}

TEST(Validate, a_long_name_becomes_a_host_name_of_64_bytes) {
  SandboxConfig config = valid();
  EXPECT_EQ(effective_hostname(config), "demo");
  config.name = std::string(65, 'a');
  std::string hostname = effective_hostname(config);
  EXPECT_EQ(hostname.size(), 64u);
  EXPECT_TRUE(hostname.starts_with(std::string(55, 'a') + "-"));
  config.hostname = "own";
  EXPECT_EQ(effective_hostname(config), "own");
}

TEST(Validate, each_rule_has_its_message) {
  SandboxConfig config = valid();
  config.cpus = 0;
  EXPECT_THAT(refusal(config), HasSubstr("CPUs"));
  config.cpus = 33;
  EXPECT_THAT(refusal(config), HasSubstr("33"));
  config = valid();
  config.memory_mib = 8;
  EXPECT_THAT(refusal(config), HasSubstr("memory"));
  config = valid();
  config.env = {{"A=B", "c"}};
  EXPECT_THAT(refusal(config), HasSubstr("A=B"));
  config = valid();
  config.workdir = "tmp";
  EXPECT_THAT(refusal(config), HasSubstr("tmp"));
  config = valid();
  config.hostname = std::string(65, 'h');
  EXPECT_THAT(refusal(config), HasSubstr("64"));
  config = valid();
  config.labels = {{"microsandbox.x", "y"}};
  EXPECT_THAT(refusal(config), HasSubstr("reserved"));
  config.labels = {{"a", "\xff"}};
  EXPECT_THAT(refusal(config), HasSubstr("UTF-8"));
  config = valid();
  config.shell = "bash";
  EXPECT_THAT(refusal(config), HasSubstr("shell"));
  config = valid();
  config.max_duration = std::chrono::milliseconds(0);
  EXPECT_THAT(refusal(config), HasSubstr("duration"));
  config = valid();
  config.image.reference = "";
  EXPECT_THAT(refusal(config), HasSubstr("image"));
  config = valid();
  config.root_disk = {RootDisk::Kind::tmpfs, 1024};
  EXPECT_THAT(refusal(config), HasSubstr("1024"));
  config = valid();
  config.root_disk = {RootDisk::Kind::managed, 1};
  EXPECT_THAT(refusal(config), HasSubstr("root disk of 1 MiB"));
  config = valid();
  config.user = "a:b:c";
  EXPECT_THAT(refusal(config), HasSubstr("a:b:c"));
  config = valid();
  config.image.reference = "UPPER";
  EXPECT_THAT(refusal(config), HasSubstr("UPPER"));
}

TEST(ImageSource, tells_references_paths_and_disks_apart) {
  using Kind = ImageSource::Kind;
  EXPECT_EQ(ImageSource::parse("python:3.12")->kind, Kind::oci);
  EXPECT_EQ(ImageSource::parse("host:5000/a/b@sha256:00")->kind, Kind::oci);
  EXPECT_EQ(ImageSource::parse("image.raw")->kind, Kind::oci);
  EXPECT_EQ(ImageSource::parse(".")->kind, Kind::directory);
  EXPECT_EQ(ImageSource::parse("./rootfs")->kind, Kind::directory);
  EXPECT_EQ(ImageSource::parse("/srv/root:1")->reference, "/srv/root:1");
  EXPECT_EQ(ImageSource::parse("./d.RAW")->format, DiskFormat::raw);
  EXPECT_EQ(ImageSource::parse("../d.img")->format, DiskFormat::raw);
  EXPECT_EQ(ImageSource::parse("/d.qcow2")->kind, Kind::disk);
}

TEST(ImageSource, options_of_a_disk) {
  auto disk = ImageSource::parse("./disk:format=qcow2,fstype=ext4");
  ASSERT_TRUE(disk);
  EXPECT_EQ(disk->kind, ImageSource::Kind::disk);
  EXPECT_EQ(disk->reference, "./disk");
  EXPECT_EQ(disk->format, DiskFormat::qcow2);
  EXPECT_EQ(disk->fstype, "ext4");
  EXPECT_EQ(ImageSource::parse("./disk.img:fstype=xfs")->format, DiskFormat::raw);
  EXPECT_FALSE(ImageSource::parse("./disk:format=vmdk"));
  EXPECT_FALSE(ImageSource::parse("./disk:fstype=ext4"));
  EXPECT_FALSE(ImageSource::parse(""));
}

TEST(RootDisk, parses_sizes_and_tmpfs) {
  EXPECT_EQ(RootDisk::parse("8G")->size_mib, 8192u);
  EXPECT_EQ(RootDisk::parse("tmpfs")->kind, RootDisk::Kind::tmpfs);
  EXPECT_EQ(RootDisk::parse("tmpfs")->size_mib, 0u);
  EXPECT_EQ(RootDisk::parse("tmpfs:512M")->size_mib, 512u);
  EXPECT_FALSE(RootDisk::parse("tmpfs:"));
  EXPECT_FALSE(RootDisk::parse("big"));
}

TEST(ResourceLimit, parses_one_or_two_values) {
  auto one = ResourceLimit::parse("nofile=1024");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->soft, 1024u);
  EXPECT_EQ(one->hard, 1024u);
  auto two = ResourceLimit::parse("NPROC=10:unlimited");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->resource, "nproc");
  EXPECT_EQ(two->hard, UINT64_MAX);
  for (const char* bad : {"nofile", "nofile=", "nofile=2:1", "files=1", "nofile=-1", "nofile=1:2:3"})
    EXPECT_FALSE(ResourceLimit::parse(bad)) << bad;
}

TEST(Merge, the_user_wins_and_the_images_order_stays) {
  ImageConfig image;
  image.env = {"PATH=/bin", "LANG=C", "=bad", "bad"};
  image.working_dir = "/app";
  image.user = "app";
  image.entrypoint = {"/entry"};
  image.cmd = {"serve"};
  image.labels = {{"a", "image"}, {"b", "image"}};
  SandboxConfig config = valid();
  config.env = {{"LANG", "de"}, {"X", "1"}};
  config.labels = {{"a", "user"}};
  auto merged = merge(image, config);
  EXPECT_THAT(merged.env, ElementsAre("PATH=/bin", "LANG=de", "X=1"));
  EXPECT_EQ(merged.workdir, "/app");
  EXPECT_EQ(merged.user, "app");
  EXPECT_EQ(merged.labels["a"], "user");
  EXPECT_EQ(merged.labels["b"], "image");
  EXPECT_THAT(*resolve_command(merged, std::nullopt), ElementsAre("/entry", "serve"));
  EXPECT_THAT(*resolve_command(merged, std::vector<std::string>{"x"}), ElementsAre("/entry", "x"));
  EXPECT_THAT(*resolve_command(merged, std::vector<std::string>{}), ElementsAre("/entry"));
}

TEST(Merge, a_path_is_always_there) {
  EXPECT_THAT(merge({}, valid()).env, ElementsAre(cat("PATH=", kDefaultPath)));
}

TEST(Merge, nothing_to_run_is_no_default_command) {
  auto command = resolve_command(merge({}, valid()), std::nullopt);
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().kind(), ErrorKind::no_default_command);
}

TEST(Merge, an_empty_entrypoint_removes_the_images) {
  ImageConfig image;
  image.entrypoint = {"/entry"};
  image.cmd = {"serve"};
  SandboxConfig config = valid();
  config.entrypoint.emplace();
  EXPECT_THAT(*resolve_command(merge(image, config), std::nullopt), ElementsAre("serve"));
}

StoredConfig full() {
  StoredConfig stored;
  SandboxConfig& config = stored.config;
  config = valid();
  config.image = {ImageSource::Kind::disk, "/d", DiskFormat::qcow2, "ext4"};
  config.cpus = 3;
  config.memory_mib = 700;
  config.env = {{"A", "1"}, {"B", "\n\"ü"}};
  config.workdir = "/w";
  config.user = "u";
  config.entrypoint = {"e"};
  config.cmd.emplace();
  config.hostname = "h";
  config.shell = "/bin/bash";
  config.labels = {{"k", "v"}};
  config.rlimits = {{"nofile", 1, UINT64_MAX}};
  config.root_disk = {RootDisk::Kind::disk, 0, "/d2", DiskFormat::raw, "xfs", RootDisk::Clone::copy};
  config.patches = {Patch::text("/p", "secret patch", {.mode = 0600, .replace = true}), Patch::copy_dir("/src", "/q")};
  config.scripts = {{"setup", "secret script"}};
  config.network.policy.rules = NetworkRule::parse_all("allow@*.example.com:tcp:443,deny@any").value();
  config.network.ports = {*PortBinding::parse("8080:80")};
  config.network.max_connections = 7;
  config.pull_policy = PullPolicy::never;
  config.machine = MachineChoice::kvm;
  config.isolation = Isolation::hardware;
  config.max_duration = std::chrono::milliseconds(1500);
  config.ephemeral = true;
  config.startup_command = {"a", "b"};
  config.keep_after_startup_success = true;
  config.registry.auth = RegistryAuth{"user", "hunter2"};
  stored.manifest_digest = "sha256:00";
  stored.image.env = {"X=Y"};
  stored.image.labels = {{"l", "m"}};
  return stored;
}

TEST(ConfigJson, round_trip_keeps_everything_but_credentials) {
  auto text = to_json(full());
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, Not(HasSubstr("hunter2")));
  EXPECT_THAT(*text, Not(HasSubstr("secret")));
  auto back = stored_config_from_json(*text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*to_json(*back), *text);
  EXPECT_EQ(back->config.network, full().config.network);
  EXPECT_FALSE(back->config.registry.auth);
  EXPECT_EQ(back->config.rlimits[0].hard, UINT64_MAX);
  EXPECT_EQ(back->config.max_duration, std::chrono::milliseconds(1500));
  EXPECT_FALSE(back->config.idle_timeout);
  ASSERT_TRUE(back->config.cmd);
  EXPECT_TRUE(back->config.cmd->empty());
}

TEST(ConfigJson, reading_is_strict) {
  std::string text = *to_json(full());
  auto replaced = [&](std::string_view what, std::string_view with) {
    std::string copy = text;
    copy.replace(copy.find(what), what.size(), with);
    return stored_config_from_json(copy);
  };
  EXPECT_FALSE(replaced("\"cpus\":3", "\"cpus\":\"3\""));
  EXPECT_FALSE(replaced("\"cpus\":3", "\"cpus\":-3"));
  EXPECT_FALSE(replaced("\"cpus\":3", "\"cpus\":5000000000"));
  EXPECT_FALSE(replaced("\"cpus\":3,", ""));
  EXPECT_FALSE(replaced("\"cpus\":3", "\"cpus\":3,\"extra\":1"));
  EXPECT_FALSE(replaced("\"never\"", "\"sometimes\""));
  EXPECT_FALSE(replaced("\"ephemeral\":true", "\"ephemeral\":1"));
  EXPECT_FALSE(stored_config_from_json("[]"));
  EXPECT_FALSE(stored_config_from_json("{"));
  EXPECT_EQ(replaced("\"format\":1", "\"format\":99").error().kind(), ErrorKind::unsupported);
}

TEST(ConfigJson, a_sandbox_stored_before_a_field_existed_has_its_default) {
  StoredConfig stored = full();
  stored.config.isolation = Isolation::hardware;
  std::string text = *to_json(stored);
  const std::string_view field = "\"isolation\":\"hardware\",";
  ASSERT_NE(text.find(field), std::string::npos);
  text.erase(text.find(field), field.size());
  auto back = stored_config_from_json(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->config.isolation, SandboxConfig{}.isolation);
}

TEST(ConfigJson, what_is_shown_has_no_password_of_a_proxy) {
  StoredConfig stored{.config = valid(), .manifest_digest = {}, .layers = {}, .image = {}};
  EXPECT_EQ(shown_config(*to_json(stored)), *to_json(stored));
  stored.config.env = {{"MAIL", "a@b"}};
  EXPECT_EQ(shown_config(*to_json(stored)), *to_json(stored));
  stored.config.network.proxy = "http://me:secret@proxy:1";
  const std::string shown = shown_config(*to_json(stored));
  EXPECT_EQ(stored_config_from_json(shown)->config.network.proxy, "http://me:***@proxy:1");
  EXPECT_EQ(stored_config_from_json(shown)->config.env, stored.config.env);
  EXPECT_EQ(shown.find("secret"), std::string::npos);
  EXPECT_EQ(shown_config("{damaged: me:secret@proxy"), "");
}

TEST(ConfigJson, text_that_json_cannot_hold_is_refused) {
  StoredConfig stored = full();
  stored.config.env = {{"A", "\xff"}};
  auto text = to_json(stored);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind(), ErrorKind::invalid_config);
}

TEST(DetachKeys, one_key_ends_the_session_and_what_came_before_passes) {
  auto keys = DetachKeys::parse("ctrl-]");
  ASSERT_TRUE(keys);
  auto outcome = keys->feed(
      "ab\x1d"
      "cd");
  EXPECT_EQ(outcome.passed, "ab");
  EXPECT_TRUE(outcome.detached);
}

TEST(DetachKeys, a_sequence_may_come_in_pieces) {
  auto keys = DetachKeys::parse("ctrl-p,ctrl-q");
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->feed("x\x10").passed, "x");
  auto broken = keys->feed("y");
  EXPECT_EQ(broken.passed, "\x10y");
  EXPECT_FALSE(broken.detached);
  EXPECT_EQ(keys->feed("\x10\x10").passed, "\x10");
  EXPECT_TRUE(keys->feed("\x11").detached);
}

TEST(DetachKeys, none_means_never) {
  auto keys = DetachKeys::parse("");
  EXPECT_EQ(keys->feed("\x1d").passed, "\x1d");
}

TEST(DetachKeys, refuses_what_is_no_key) {
  for (const char* bad : {"ctrl-", "ctrl-1", "ctrl-p,", "alt-x", "ab", "\x01"})
    EXPECT_FALSE(DetachKeys::parse(bad)) << bad;
  EXPECT_TRUE(DetachKeys::parse("a"));
  EXPECT_TRUE(DetachKeys::parse("ctrl-A,~"));
}

}  // namespace
}  // namespace msb
