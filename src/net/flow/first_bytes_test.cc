#include "net/flow/first_bytes.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

using State = FirstBytes::State;

FirstBytes of(std::string_view text) {
  return read_first_bytes(as_bytes(text));
}

void put(Bytes& out, size_t value, int size) {
  for (int i = size; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
void put_vector(Bytes& out, const Bytes& body, int length_size) {
  put(out, body.size(), length_size);
  out.insert(out.end(), body.begin(), body.end());
}

// The handshake message of a ClientHello with one server_name extension for each name.
Bytes hello(const std::vector<std::string>& names) {
  Bytes extensions;
  for (const auto& name : names) {
    Bytes entry{0};
    put_vector(entry, to_bytes(name), 2);
    Bytes list;
    put_vector(list, entry, 2);
    put(extensions, 0, 2);
    put_vector(extensions, list, 2);
  }
  Bytes body{3, 3};
  body.resize(2 + 32);
  put_vector(body, {}, 1);
  put_vector(body, {0x13, 1}, 2);
  put_vector(body, {0}, 1);
  put_vector(body, extensions, 2);
  Bytes message{1};
  put_vector(message, body, 3);
  return message;
}

Bytes record(ByteView part) {
  Bytes out{22, 3, 1};
  put_vector(out, {part.begin(), part.end()}, 2);
  return out;
}

TEST(FirstBytesTest, ServerNameOfAClientHello) {
  const auto seen = read_first_bytes(record(hello({"API.Example.COM."})));
  EXPECT_EQ(seen.state, State::known);
  EXPECT_EQ(seen.name, "api.example.com");
}

TEST(FirstBytesTest, HelloInPiecesIsWaitedFor) {
  const Bytes whole = record(hello({"example.com"}));
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(read_first_bytes(ByteView(whole).first(size)).state, State::more) << size;
}

TEST(FirstBytesTest, HelloOverSeveralRecords) {
  const Bytes message = hello({"example.com"});
  Bytes both = record(ByteView(message).first(3));
  const Bytes rest = record(ByteView(message).subspan(3));
  both.insert(both.end(), rest.begin(), rest.end());
  EXPECT_EQ(read_first_bytes(both).name, "example.com");
}

TEST(FirstBytesTest, TlsWithoutOneNameHasNone) {
  for (const auto& names : std::vector<std::vector<std::string>>{{}, {"10.0.0.1"}, {""}}) {
    const auto seen = read_first_bytes(record(hello(names)));
    EXPECT_EQ(seen.state, State::known);
    EXPECT_EQ(seen.name, std::nullopt);
  }
}

TEST(FirstBytesTest, TlsThatCouldBeReadInSeveralWaysIsUnclear) {
  EXPECT_EQ(read_first_bytes(record(hello({"a.com", "b.com"}))).state, State::unclear);
  EXPECT_EQ(read_first_bytes(record(hello({"a.com\tb.com"}))).state, State::unclear);
  Bytes short_extensions = hello({"a.com"});
  short_extensions[short_extensions.size() - 2 - 5 - 1] += 1;  // the length of the list of names
  EXPECT_EQ(read_first_bytes(record(short_extensions)).state, State::unclear);
  Bytes other_record = record(ByteView(hello({"a.com"})).first(9));
  other_record.push_back(23);
  EXPECT_EQ(read_first_bytes(other_record).state, State::unclear);
}

TEST(FirstBytesTest, HostOfAnHttpRequest) {
  EXPECT_EQ(of("GET / HTTP/1.1\r\nhOsT:  Example.com:8080 \r\n\r\n").name, "example.com");
  EXPECT_EQ(of("POST /x HTTP/1.0\nHost: example.com\n\n").name, "example.com");
  EXPECT_EQ(of("GET / HTTP/1.1\r\nHost: a.com\r\nhost: A.com:80\r\n\r\n").name, "a.com");
}

TEST(FirstBytesTest, NameInTheTargetOfAnHttpRequestGoesBeforeItsHost) {
  EXPECT_EQ(of("GET http://a.com:8080/x HTTP/1.1\r\n\r\n").name, "a.com");
  EXPECT_EQ(of("GET http://b.com@A.com?x HTTP/1.1\r\nHost: a.com\r\n\r\n").name, "a.com");
  EXPECT_EQ(of("CONNECT a.com:443 HTTP/1.1\r\n\r\n").name, "a.com");
  EXPECT_EQ(of("OPTIONS * HTTP/1.1\r\nHost: a.com\r\n\r\n").name, "a.com");
}

TEST(FirstBytesTest, RequestsThatCouldBeReadInSeveralWaysAreUnclear) {
  for (const char* text :
       {"GET / HTTP/1.1\r\nHost: a.com\r\nHost: b.com\r\n\r\n", "GET / HTTP/1.1\r\nX: y\r\n Host: a.com\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\nHost: a.com\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.com b.com\r\n\r\n",
        "GET http://b.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n", "GET b.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n",
        "CONNECT b.com:443 HTTP/1.1\r\nHost: a.com\r\n\r\n", "GET http:/// HTTP/1.1\r\nHost: a.com\r\n\r\n"}) {
    EXPECT_EQ(of(text).state, State::unclear) << text;
    EXPECT_EQ(of(text).name, std::nullopt) << text;
  }
}

TEST(FirstBytesTest, RequestIsReadToTheEndOfItsHeaders) {
  EXPECT_EQ(of("GE").state, State::more);
  EXPECT_EQ(of("GET / HTTP/1.1\r\nHost: a.com\r\n").state, State::more);
}

TEST(FirstBytesTest, RequestsWithoutOneNameHaveNone) {
  for (const char* text :
       {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: 1.2.3.4\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    EXPECT_EQ(of(text).state, State::known) << text;
    EXPECT_EQ(of(text).name, std::nullopt) << text;
  }
}

TEST(FirstBytesTest, OtherProtocolsAreKnownAtOnce) {
  for (std::string_view text : {"SSH-2.0-x", "\x05\x01", "lower case", "VERYVERYLONGMETHODNAME"}) {
    EXPECT_EQ(of(text).state, State::known) << text;
    EXPECT_EQ(of(text).name, std::nullopt) << text;
  }
}

}  // namespace
}  // namespace msb::net
