// Both ends of what bench/net_guest measures:
//
//   net_load serve PORT                       on 127.0.0.1, until it is killed
//   net_load run ADDRESS|gateway PORT SIZE    one line each: name, seconds, operations. SIZE: MiB of a transfer
//
// The first byte of a connection says what it is for. Static, so that it runs in any image.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "timed.h"

enum { BLOCK = 128 << 10, MOST = 4096, CONNECTS = 500, TRIPS = 2000 };
enum kind { NEW = 0, ECHO = 'e', SINK = 's', SOURCE = 'z' };
static char block[BLOCK];
static struct sockaddr_in server = {.sin_family = AF_INET};

static int tcp_socket(int flags) {
  const int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  must(fd >= 0, "socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  return fd;
}

// One thread, level-triggered. A source sends for as long as its client reads.
static void serve_one(int poll, int fd, char* kind) {
  ssize_t count;
  if (*kind == SOURCE) {
    count = send(fd, block, sizeof(block), MSG_NOSIGNAL);
  } else {
    count = recv(fd, block, *kind == NEW ? 1 : sizeof(block), 0);
    if (count > 0 && *kind == NEW) {
      *kind = block[0];
      struct epoll_event event = {.events = *kind == SOURCE ? EPOLLOUT : EPOLLIN, .data.fd = fd};
      must(epoll_ctl(poll, EPOLL_CTL_MOD, fd, &event) == 0, "epoll_ctl");
      return;
    }
    if (count > 0 && *kind == ECHO) count = send(fd, block, (size_t)count, MSG_NOSIGNAL);
    if (count == 0 && *kind == SINK) (void)!send(fd, block, 1, MSG_NOSIGNAL);  // it has all arrived
  }
  if (count > 0 || (count < 0 && errno == EAGAIN)) return;
  close(fd);
}

static void serve(void) {
  static char kinds[MOST];
  int poll = epoll_create1(0), listener = tcp_socket(SOCK_NONBLOCK);
  must(bind(listener, (struct sockaddr*)&server, sizeof(server)) == 0, "bind");
  must(listen(listener, MOST) == 0, "listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
  must(epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
  puts("ready");
  fflush(stdout);
  for (;;) {
    int count = epoll_wait(poll, events, 64, -1);
    for (int i = 0; i < count; ++i) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        serve_one(poll, fd, &kinds[fd]);
        continue;
      }
      if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0) continue;
      must(fd < MOST, "too many connections");
      kinds[fd] = NEW;
      event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
      must(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
  }
}

static int connected(char kind) {
  int fd = tcp_socket(0);
  must(connect(fd, (struct sockaddr*)&server, sizeof(server)) == 0, "connect");
  must(send(fd, &kind, 1, 0) == 1, "send");
  return fd;
}
static void there(int fd) {
  must(send(fd, block, 1, 0) == 1, "send");
}
static void back(int fd) {
  must(recv(fd, block, 1, 0) == 1, "recv");
}

static void transfers(long mib) {
  int fd = connected(SINK);
  begin();
  for (long left = mib << 20; left > 0; left -= BLOCK) must(send(fd, block, BLOCK, 0) == BLOCK, "send");
  shutdown(fd, SHUT_WR);
  back(fd);
  end("up", mib);
  close(fd);
  fd = connected(SOURCE);
  begin();
  for (long left = mib << 20; left > 0;) {
    ssize_t count = recv(fd, block, BLOCK, 0);
    must(count > 0, "recv");
    left -= count;
  }
  end("down", mib);
  close(fd);
}

static void connects(void) {
  begin();
  for (int i = 0; i < CONNECTS; ++i) {
    int fd = connected(ECHO);
    there(fd);
    back(fd);
    close(fd);
  }
  end("connect", CONNECTS);
}

static void trips(const char* name, int count) {
  static int fds[1000];
  for (int i = 0; i < count; ++i) {
    fds[i] = connected(ECHO);
    there(fds[i]);
    back(fds[i]);
  }
  begin();
  for (int done = 0; done < TRIPS; done += count) {
    for (int i = 0; i < count; ++i) there(fds[i]);
    for (int i = 0; i < count; ++i) back(fds[i]);
  }
  end(name, TRIPS);
  for (int i = 0; i < count; ++i) close(fds[i]);
}

// The default route's, as /proc/net/route has it: in the byte order of the network already.
static uint32_t gateway(void) {
  char line[256];
  unsigned destination, via;
  FILE* routes = fopen("/proc/net/route", "r");
  must(routes != NULL, "/proc/net/route");
  while (fgets(line, sizeof(line), routes))
    if (sscanf(line, "%*s %x %x", &destination, &via) == 2 && destination == 0) return via;
  fputs("no default route\n", stderr);
  exit(1);
}

int main(int count, char** words) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files = {MOST, MOST};
  setrlimit(RLIMIT_NOFILE, &files);
  if (count == 3 && strcmp(words[1], "serve") == 0) {
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((uint16_t)atoi(words[2]));
    serve();
  }
  if (count != 5) return 2;
  server.sin_addr.s_addr = strcmp(words[2], "gateway") == 0 ? gateway() : inet_addr(words[2]);
  server.sin_port = htons((uint16_t)atoi(words[3]));
  transfers(atol(words[4]));
  connects();
  trips("trip", 1);
  trips("trips-64", 64);
  trips("trips-200", 200);
  return 0;
}
