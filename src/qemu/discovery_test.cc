#include "qemu/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/elf.h"
#include "base/fd.h"
#include "base/temp_dir.h"
#include "qemu/discovery_cache.h"
#include "qemu/portable_machine.h"
#include "qemu/tsc.h"

namespace msb::qemu {
namespace {

using ::testing::HasSubstr;

// Sets a variable for one test.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = ::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

QemuProgram sample() {
  QemuProgram program;
  program.binary = {"/usr/bin/qemu", 100, 1'700'000'000'123'456'789, 42};
  program.version = {10, 0, 2};
  program.interpreter = "/lib64/ld.so";
  program.libraries = {{"/lib/a.so", 1, 2, 3}, {"/lib/b.so", 4, 5, 6}};
  program.firmware = {{"/share/qboot.rom", 7, 8, 9}};
  program.firmware_dir = "/share";
  program.module_dir = "/lib/qemu";
  program.has_sandbox = true;
  return program;
}

TEST(QemuCacheTest, ComesBackAsItWasWritten) {
  QemuCache cache;
  cache.boot_id = "boot";
  cache.tsc_khz = 2445425;
  cache.programs = {sample()};
  cache.rejected = {{{"/old/qemu", 1, 2, 3}, "version 6.0.0 is older"}};
  QemuCache again = QemuCache::from_json(cache.to_json());
  EXPECT_EQ(again.to_json(), cache.to_json());
  ASSERT_EQ(again.programs.size(), 1u);
  EXPECT_EQ(again.programs[0].libraries, cache.programs[0].libraries);
  EXPECT_EQ(again.programs[0].version, (QemuVersion{10, 0, 2}));
}

TEST(QemuCacheTest, DamageMeansEmpty) {
  for (const char* text :
       {"", "{", "[]", "{\"format\":99}", "{\"format\":1,\"programs\":5}", "{\"format\":1,\"boot_id\":[]}"})
    EXPECT_TRUE(QemuCache::from_json(text).programs.empty()) << text;
}

class DiscoveryTest : public ::testing::Test {
 protected:
  TempDir dir_ = *TempDir::create();
  std::string cache_ = dir_.path() + "/qemu.json";
};

TEST_F(DiscoveryTest, FindsTheInstalledQemuAndEverythingItNeeds) {
  auto program = find_qemu({cache_, {}});
  ASSERT_TRUE(program) << program.error().to_string();
  EXPECT_GE(program->version, kOldestQemu);
  EXPECT_FALSE(program->firmware.empty());
  for (const auto& library : program->libraries) EXPECT_TRUE(path_exists(library.path)) << library.path;
  EXPECT_TRUE(path_exists(cache_));
}

TEST_F(DiscoveryTest, WhatItFindsIsEnoughToRunQemuInTheFence) {
  auto survey = survey_qemu({cache_, {}});
  ASSERT_TRUE(survey);
  for (const auto& program : survey->usable) {
    auto walls = probe_walls(program);
    ASSERT_TRUE(walls) << walls.error().to_string();
    EXPECT_GE(walls->size(), 12u);
  }
}

TEST_F(DiscoveryTest, AQemuThatCannotStartInTheFenceSaysWhy) {
  QemuProgram program = *find_qemu({cache_, {}});
  ASSERT_FALSE(program.libraries.empty());
  program.libraries.clear();
  auto walls = probe_walls(program);
  ASSERT_FALSE(walls);
  EXPECT_THAT(walls.error().message(), HasSubstr("shared libraries"));
}

TEST_F(DiscoveryTest, AWarmLookupRunsNothing) {
  auto first = survey_qemu({cache_, {}});
  ASSERT_TRUE(first);
  // Anything found out again would be written again.
  FileStamp written = *FileStamp::of(cache_);
  auto second = survey_qemu({cache_, {}});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->usable.size(), first->usable.size());
  EXPECT_EQ(*FileStamp::of(cache_), written);
}

TEST_F(DiscoveryTest, TheCacheIsBelievedOnlyForTheFileItIsAbout) {
  ASSERT_TRUE(find_qemu({cache_, {}}));
  QemuCache cache = QemuCache::load(cache_);
  ASSERT_FALSE(cache.programs.empty());
  QemuVersion real = cache.programs[0].version;
  for (auto& program : cache.programs) program.version = {99, 0, 0};
  cache.save(cache_);
  EXPECT_EQ(find_qemu({cache_, {}})->version, (QemuVersion{99, 0, 0}));
  for (auto& program : cache.programs) program.binary.size += 1;
  cache.save(cache_);
  EXPECT_EQ(find_qemu({cache_, {}})->version.major, real.major);
}

TEST_F(DiscoveryTest, AProgramNamedByTheUserIsTheOnlyCandidate) {
  Environment chosen("MSB_QEMU_PATH", "/bin/true");
  auto survey = survey_qemu({cache_, {}});
  ASSERT_TRUE(survey);
  EXPECT_TRUE(survey->usable.empty());
  ASSERT_EQ(survey->rejected.size(), 1u);
  auto program = find_qemu({cache_, {}});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(program.error().message(), HasSubstr("/bin/true"));
  EXPECT_THAT(program.error().hints().at(0), HasSubstr("qemu-system-x86"));
}

TEST_F(DiscoveryTest, AMissingChosenProgramSaysWhichVariableNamesIt) {
  Environment chosen("MSB_QEMU_PATH", "/does/not/exist");
  auto program = find_qemu({cache_, {}});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(program.error().hints().at(0), HasSubstr("MSB_QEMU_PATH"));
}

// A stand-in that answers like an old QEMU: a shell script is not ELF, so it is refused before it is run.
TEST_F(DiscoveryTest, AScriptIsNotAQemu) {
  std::string script = dir_.path() + "/qemu-system-x86_64";
  std::ofstream(script) << "#!/bin/sh\necho QEMU emulator version 12.0.0\n";
  ::chmod(script.c_str(), 0755);
  Environment chosen("MSB_QEMU_PATH", script);
  auto survey = survey_qemu({cache_, {}});
  ASSERT_TRUE(survey);
  ASSERT_EQ(survey->rejected.size(), 1u);
  EXPECT_THAT(survey->rejected[0].reason, HasSubstr("not a 64-bit ELF"));
}

TEST(QemuVersionTest, Orders) {
  EXPECT_LT((QemuVersion{7, 2, 22}), (QemuVersion{10, 0, 0}));
  EXPECT_LT((QemuVersion{7, 1, 9}), kOldestQemu);
  EXPECT_EQ((QemuVersion{10, 0, 2}).to_string(), "10.0.2");
}

TEST(TscTest, IsReadFromTheKernelsFigure) {
  EXPECT_EQ(tsc_khz_from_cpuinfo("processor\t: 0\nbogomips\t: 4890.85\nTLB size\t: 2560\n"), 2445425u);
  EXPECT_EQ(tsc_khz_from_cpuinfo("bogomips\t: nonsense\n"), 0u);
  EXPECT_EQ(tsc_khz_from_cpuinfo("bogomips"), 0u);
  EXPECT_EQ(tsc_khz_from_cpuinfo("bogomips\t: -1\n"), 0u);
  EXPECT_EQ(tsc_khz_from_cpuinfo(""), 0u);
}

TEST(ElfTest, NamesTheInterpreterOfADynamicProgram) {
  auto interpreter = elf_interpreter("/proc/self/exe");
  ASSERT_TRUE(interpreter);
  EXPECT_THAT(*interpreter, HasSubstr("ld-"));
}

TEST(ElfTest, AnOrdinaryProgramIsNotAKernel) {
  auto kernel = check_pvh_kernel("/proc/self/exe");
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message(), HasSubstr("no PVH entry point"));
}

TEST(ElfTest, ADamagedHeaderIsRefused) {
  TempDir dir = *TempDir::create();
  std::string elf = *read_file("/proc/self/exe", size_t{1} << 30);
  elf.resize(64);
  std::string path = dir.path() + "/short";
  std::ofstream(path, std::ios::binary) << elf;
  EXPECT_FALSE(check_pvh_kernel(path));
  elf[56] = elf[57] = '\xff';  // e_phnum
  std::ofstream(path, std::ios::binary) << elf;
  auto kernel = check_pvh_kernel(path);
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message(), HasSubstr("damaged"));
}

}  // namespace
}  // namespace msb::qemu
