// Blocking sockets in the words of a test: connect_to(), say(), hear(). Nothing here takes longer than kPatience.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/fd.h"
#include "net/address.h"

namespace msb::net::testing {

constexpr time_t kPatience = 30;  // seconds

void set_patience(const Fd& socket);
// Of datagrams, those too that may pass: that there is no route.
void want_all_errors(const Fd& socket);

// errno of connect(), 0 when it worked.
int connect_to(const Fd& socket, const Endpoint& remote);
// All of it, or the test fails.
void say(const Fd& socket, std::string_view text);
// From a ping socket, which is connected here: an echo request.
void say_ping(const Fd& socket, const Ip& to, std::string_view payload);
std::string words_of(int errnum);
// What comes up to this size; less at the end, "reset" for a reset, words_of() another error.
std::string hear(const Fd& socket, size_t size);

// Bytes from the client, its end, bytes from the server, its end: each arrives, and in this order.
void question_and_answer(const Fd& client, const Fd& server);

// Where it is bound then; port 0 is any.
Endpoint bind_at(const Fd& socket, const Endpoint& local);
Endpoint listen_at(const Fd& socket, const Endpoint& local);
Fd accept_one(const Fd& listener);

// One datagram of this size, and `reply` to whoever sent it; who that was.
Endpoint hear_and_reply(const Fd& socket, std::string_view expected, std::string_view reply);

}  // namespace msb::net::testing
