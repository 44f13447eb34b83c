#include "wire/messages.h"

#include <gtest/gtest.h>

#include "wire/all_messages.h"

namespace msb::wire {
namespace {

// Fills every field with something other than its default, so that a field that
// is lost on the way shows.
template <class T>
T filled();

struct Filler {
  int next = 1;
  void operator()(std::string_view, std::string& value) { value = cat("text-", next++); }
  void operator()(std::string_view, bool& value) { value = !value; }
  void operator()(std::string_view, ByteView& value) { value = as_bytes("some bytes"); }
  void operator()(std::string_view, Bytes& value) { value = to_bytes("own bytes"); }
  void operator()(std::string_view, Stream& value) { value = Stream::err; }
  void operator()(std::string_view, FileKind& value) { value = FileKind::block_device; }
  void operator()(std::string_view, FileOperation& value) { value = FileOperation::set_stat; }
  void operator()(std::string_view, std::vector<std::string>& value) { value = {cat("item-", next++), "", "x"}; }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void operator()(std::string_view, T& value) {
    value = static_cast<T>(1000 + next++);
  }
  template <class T>
  void operator()(std::string_view key, std::optional<T>& value) {
    (*this)(key, value.emplace());
  }
  template <Message T>
  void operator()(std::string_view, T& value) {
    T::fields(value, *this);
  }
  template <Message T>
  void operator()(std::string_view, std::vector<T>& values) {
    values.resize(2);
    for (auto& value : values) T::fields(value, *this);
  }
};

template <class T>
T filled() {
  T message;
  T::fields(message, Filler{});
  return message;
}

template <class T>
void expect_round_trip(const T& message) {
  Bytes encoded = encode(message);
  auto decoded = decode<T>(encoded);
  ASSERT_TRUE(decoded) << T::kType << ": " << decoded.error().to_string();
  // Encoding is deterministic: the same fields give the same bytes.
  EXPECT_EQ(encode(*decoded), encoded) << T::kType;
}

TEST(Messages, all_round_trip_filled_and_default) {
  for_each_message([]<class T>() {
    expect_round_trip(T{});
    expect_round_trip(filled<T>());
  });
}

TEST(Messages, names_are_unique_and_in_the_core_namespace) {
  std::vector<std::string_view> names;
  for_each_message([&]<class T>() { names.push_back(T::kType); });
  for (auto name : names) {
    EXPECT_TRUE(name.starts_with("core.")) << name;
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
}

TEST(Messages, unknown_keys_are_skipped_and_missing_keys_keep_their_defaults) {
  CborWriter out;
  out.map(3);
  out.text("from the future");
  out.array(2);
  out.map(1);
  out.text("x");
  out.null();
  out.bytes(as_bytes("y"));
  out.text("cols");
  out.integer(132);
  out.text("later");
  out.boolean(true);
  auto resize = decode<ExecResize>(out.data());
  ASSERT_TRUE(resize) << resize.error().to_string();
  EXPECT_EQ(resize->cols, 132u);
  EXPECT_EQ(resize->rows, 24u);
}

TEST(Messages, a_null_optional_is_absent) {
  CborWriter out;
  out.map(1);
  out.text("cwd");
  out.null();
  EXPECT_EQ(decode<ExecRequest>(out.data()).value().cwd, std::nullopt);
}

TEST(Messages, out_of_range_and_mistyped_fields_name_themselves) {
  CborWriter out;
  out.map(1);
  out.text("rows");
  out.unsigned_integer(uint64_t{1} << 32);
  auto wide = decode<ExecResize>(out.data());
  ASSERT_FALSE(wide);
  EXPECT_NE(wide.error().to_string().find("rows"), std::string::npos);

  CborWriter enumeration;
  enumeration.map(1);
  enumeration.text("stream");
  enumeration.text("stdxyz");
  EXPECT_FALSE(decode<ExecCredit>(enumeration.data()));
}

TEST(Messages, bytes_after_the_message_are_refused) {
  Bytes bytes = encode(Shutdown{});
  bytes.push_back(0);
  EXPECT_FALSE(decode<Shutdown>(bytes));
}

TEST(Messages, every_file_kind_and_operation_has_a_name_of_its_own) {
  for (const auto& [kind, name] : kFileKinds) {
    FileKind back = FileKind::file;
    EXPECT_TRUE(from_string(name, back));
    EXPECT_EQ(back, kind);
    EXPECT_EQ(to_string(kind), name);
  }
  for (const auto& [operation, name] : kFileOperations) {
    FileOperation back = FileOperation::stat;
    EXPECT_TRUE(from_string(name, back));
    EXPECT_EQ(back, operation);
    EXPECT_EQ(to_string(operation), name);
  }
}

TEST(Messages, a_path_is_any_bytes) {
  std::string path = "/a\nb\xff\"";
  FileRequest request;
  request.path = to_bytes(path);
  Bytes encoded = encode(request);
  auto decoded = decode<FileRequest>(encoded);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(as_text(decoded->path), path);
}

// The bytes on the wire are a promise to other implementations: a change here is a new generation.
TEST(Messages, exec_request_has_its_golden_bytes) {
  ExecRequest request;
  request.cmd = "ls";
  request.args = {"-l"};
  request.env = {"A=b"};
  request.cwd = "/";
  request.rlimits = {{"nofile", 10, 20}};
  request.window = 524288;
  Bytes frame = make_frame(258, kFlagSessionStart, request);
  const uint8_t expected[] =
      "\x00\x00\x00\x8d\x00\x00\x01\x02\x02"
      "\xa3\x61v\x08\x61t\x71"
      "core.exec.request"
      "\x61p\x58\x6c"
      "\xaa"
      "\x63"
      "cmd"
      "\x62"
      "ls"
      "\x64"
      "args"
      "\x81\x62"
      "-l"
      "\x63"
      "env"
      "\x81\x63"
      "A=b"
      "\x63"
      "cwd"
      "\x61/"
      "\x63tty\xf4"
      "\x64rows\x18\x18"
      "\x64"
      "cols\x18\x50"
      "\x67rlimits\x81\xa3\x68resource\x66nofile\x64soft\x0a\x64hard\x14"
      "\x65stdin\xf5"
      "\x66window\x1a\x00\x08\x00\x00";
  EXPECT_EQ(frame, Bytes(expected, expected + sizeof(expected) - 1));
}

}  // namespace
}  // namespace msb::wire
