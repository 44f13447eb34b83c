// What a guest asks of the files that the host shares with it: raw FUSE requests (the bed's shares: hardware.h).
#define FILE_ID 7
#include <linux/fuse.h>

#include "driver.h"
#include "scenarios.h"

enum { IO = 5, BAD_FILE = 9, NO_DIRECTORY = 20, CROSSES = 18, READ_ONLY = 30, STALE = 116, INVALID = 22, TOO_LONG = 36 };
enum { UNANSWERED = 10000, BROKEN };
enum { ARGUMENTS = 1024, ANSWER = 8192 };
#define ROOT 1ull
#define NOBODY 0xfffffffffffffff0ull  // an id that is never given out
#define MOST 0xffffffffffffffffull

struct session {
  struct world* world;
  struct device device;
  struct queue* queue;
  uint64_t request, answer;  // where they are in memory
  uint32_t length;           // of the arguments so far
};

static uint64_t at(const struct session* session) {
  return session->request + sizeof(struct fuse_in_header) + session->length;
}
static void begin(struct session* session) {
  session->length = 0;
}
static void word(struct session* session, uint32_t value) {
  store32(session->world, at(session), value);
  session->length += 4;
}
static void wide(struct session* session, uint64_t value) {
  word(session, (uint32_t)value);
  word(session, (uint32_t)(value >> 32));
}
static void bytes(struct session* session, const char* text, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) session->world->hardware->ram[(uintptr_t)at(session) + i] = (uint8_t)text[i];
  session->length += count;
}
static uint32_t length_of(const char* text) {
  uint32_t length = 0;
  while (text[length]) ++length;
  return length;
}
static void name(struct session* session, const char* text) {
  bytes(session, text, length_of(text) + 1);
}
static uint32_t load32(const struct session* session, uint32_t offset) {
  return load16(session->world, session->answer + offset) |
         (uint32_t)load16(session->world, session->answer + offset + 2) << 16;
}
static uint64_t load64(const struct session* session, uint32_t offset) {
  return load32(session, offset) | (uint64_t)load32(session, offset + 4) << 32;
}
static uint64_t first_word(const struct session* session) {  // of the answer: a node's id, a file's handle
  return load64(session, sizeof(struct fuse_out_header));
}

// Errors are positive here; 0 is success. What answers at all answers this request, within the room it was given.
static uint32_t send(struct session* session, uint32_t opcode, uint64_t node, uint32_t total, uint32_t claimed,
                     uint32_t answer_room) {
  struct world* world = session->world;
  const uint64_t header = session->request;
  store32(world, header, claimed);
  store32(world, header + 4, opcode);
  store64(world, header + 8, 0x1234567800000000ull | opcode);
  store64(world, header + 16, node);
  for (uint32_t i = 24; i < 40; i += 4) store32(world, header + i, 0);
  for (uint32_t i = 0; i < 16; i += 4) store32(world, session->answer + i, 0);
  descriptor(world, session->queue, 0, session->request, total, answer_room ? NEXT : 0, 1);
  descriptor(world, session->queue, 1, session->answer, answer_room, WRITE, 0);
  publish(world, session->queue, 0);
  kick(world, &session->device, session->queue);
  if (!wait_used(world, &session->device, session->queue)) return BROKEN;
  const uint32_t length = load32(session, 0), error = load32(session, 4);
  if (length == 0) return UNANSWERED;
  CHECK(world, length >= sizeof(struct fuse_out_header) && length <= answer_room);
  CHECK(world, error == 0 || error > 0xfffff000u);
  CHECK(world, load64(session, 8) == (0x1234567800000000ull | opcode));
  return 0u - error;
}
static uint32_t ask(struct session* session, uint32_t opcode, uint64_t node) {
  const uint32_t total = (uint32_t)sizeof(struct fuse_in_header) + session->length;
  return send(session, opcode, node, total, total, ANSWER);
}

static uint32_t init(struct session* session) {
  begin(session);
  word(session, FUSE_KERNEL_VERSION);
  word(session, FUSE_KERNEL_MINOR_VERSION);
  word(session, 0x20000);
  word(session, 0xffffffff);
  for (uint32_t i = 0; i < 12; ++i) word(session, 0);
  return ask(session, FUSE_INIT, 0);
}
static bool open_session(struct world* world, uint32_t slot, struct session* session) {
  session->world = world;
  if (!start(world, slot, &session->device)) return false;
  session->queue = &session->device.queue[1];
  session->request = room(world, ARGUMENTS);
  session->answer = room(world, ANSWER);
  return true;
}
static uint64_t lookup(struct session* session, uint64_t directory, const char* text) {
  begin(session);
  name(session, text);
  const uint32_t error = ask(session, FUSE_LOOKUP, directory);
  CHECK(session->world, error == 0);
  return first_word(session);
}
static uint64_t open_as(struct session* session, uint32_t opcode, uint64_t node, uint32_t flags) {
  begin(session);
  word(session, flags);
  word(session, 0);
  const uint32_t error = ask(session, opcode, node);
  CHECK(session->world, error == 0);
  return first_word(session);
}
static uint32_t transfer(struct session* session, uint32_t opcode, uint64_t node, uint64_t handle, uint64_t offset,
                         uint32_t size) {
  begin(session);
  wide(session, handle);
  wide(session, offset);
  word(session, size);
  for (uint32_t i = 0; i < 5; ++i) word(session, 0);
  if (opcode == FUSE_WRITE) bytes(session, "harm", 4);
  return ask(session, opcode, node);
}

// The arguments that stand before the names of an operation.
struct named {
  uint32_t opcode;
  uint32_t words;
  uint32_t names;
};
static const struct named kNamed[] = {{FUSE_LOOKUP, 0, 1}, {FUSE_MKDIR, 2, 1},  {FUSE_MKNOD, 4, 1},
                                      {FUSE_UNLINK, 0, 1}, {FUSE_RMDIR, 0, 1},  {FUSE_CREATE, 4, 1},
                                      {FUSE_RENAME, 2, 2}, {FUSE_RENAME2, 4, 2}};

static uint32_t with_names(struct session* session, const struct named* what, uint64_t node, const char* one,
                           uint32_t one_length, const char* other) {
  begin(session);
  if (what->opcode == FUSE_RENAME || what->opcode == FUSE_RENAME2) {
    wide(session, node);  // within one directory
    for (uint32_t i = 2; i < what->words; ++i) word(session, 0);
  } else {
    for (uint32_t i = 0; i < what->words; ++i) word(session, 0);
  }
  bytes(session, one, one_length);
  if (what->names == 2) name(session, other);
  return ask(session, what->opcode, node);
}

static void bad_names(struct session* session, uint64_t share) {
  static const char* const kBad[] = {"",          ".",        "..",     "/",     "/etc/passwd", "dir/inside",
                                     "../secret", "dir/../x", "./file", "file/", "//",          "dir/../../secret"};
  char longest[400];
  for (uint32_t i = 0; i < sizeof(longest); ++i) longest[i] = 'x';
  for (uint32_t op = 0; op < sizeof(kNamed) / sizeof(kNamed[0]); ++op) {
    const struct named* what = &kNamed[op];
    for (uint32_t i = 0; i < sizeof(kBad) / sizeof(kBad[0]); ++i) {
      const uint32_t length = length_of(kBad[i]) + 1;
      CHECK(session->world, with_names(session, what, share, kBad[i], length, "fine") == INVALID);
      if (what->names == 2) CHECK(session->world, with_names(session, what, share, "file", 5, kBad[i]) == INVALID);
    }
    longest[256] = 0;
    CHECK(session->world, with_names(session, what, share, longest, 257, "fine") == TOO_LONG);
    longest[256] = 'x';
    CHECK(session->world, with_names(session, what, share, longest, sizeof(longest), "") == INVALID);  // no end
    CHECK(session->world, with_names(session, what, share, "file", 0, "") == INVALID);                 // no name
  }
  // A NUL ends a name; what follows it is not part of it.
  CHECK(session->world, with_names(session, &kNamed[0], share, "file\0/../../secret", 18, "") == 0);
  // Through a link, and below a file: neither is a directory.
  const uint64_t link = lookup(session, share, "link"), file = lookup(session, share, "file");
  CHECK(session->world, with_names(session, &kNamed[0], link, "passwd", 7, "") == NO_DIRECTORY);
  CHECK(session->world, with_names(session, &kNamed[5], link, "made", 5, "") == NO_DIRECTORY);
  CHECK(session->world, with_names(session, &kNamed[0], file, "below", 6, "") == NO_DIRECTORY);
  begin(session);
  word(session, 0);
  word(session, 0);
  CHECK(session->world, ask(session, FUSE_OPEN, link) != 0);
}

static void read_only_share(struct session* session, uint64_t share, uint64_t other) {
  const uint64_t file = lookup(session, share, "file");
  for (uint32_t op = 1; op < sizeof(kNamed) / sizeof(kNamed[0]); ++op)
    CHECK(session->world, with_names(session, &kNamed[op], share, "made", 5, "again") == READ_ONLY);
  static const uint32_t kWriting[] = {1, 2, 3, 01000, 02001};  // O_WRONLY, O_RDWR, both, O_TRUNC, O_APPEND
  for (uint32_t i = 0; i < sizeof(kWriting) / sizeof(kWriting[0]); ++i) {
    begin(session);
    word(session, kWriting[i]);
    word(session, 0);
    CHECK(session->world, ask(session, FUSE_OPEN, file) == READ_ONLY);
  }
  const uint64_t handle = open_as(session, FUSE_OPEN, file, 0);
  CHECK(session->world, transfer(session, FUSE_WRITE, file, handle, 0, 4) == READ_ONLY);
  CHECK(session->world, transfer(session, FUSE_FALLOCATE, file, handle, 0, 4) == READ_ONLY);
  static const uint32_t kOthers[] = {FUSE_SETATTR, FUSE_SETXATTR, FUSE_REMOVEXATTR,    FUSE_SYMLINK,
                                     FUSE_LINK,    FUSE_TMPFILE,  FUSE_COPY_FILE_RANGE};
  for (uint32_t i = 0; i < sizeof(kOthers) / sizeof(kOthers[0]); ++i) {
    begin(session);
    for (uint32_t words = 0; words < 24; ++words) word(session, 0);
    CHECK(session->world, ask(session, kOthers[i], i < 3 ? file : share) == READ_ONLY);
  }
  // From where it may write to where it may not.
  begin(session);
  wide(session, share);
  name(session, "file");
  name(session, "moved");
  CHECK(session->world, ask(session, FUSE_RENAME, other) == CROSSES);
  begin(session);
  wide(session, file);
  name(session, "linked");
  CHECK(session->world, ask(session, FUSE_LINK, other) == CROSSES);
  begin(session);
  wide(session, ROOT);
  name(session, "file");
  name(session, "moved");
  CHECK(session->world, ask(session, FUSE_RENAME, other) == CROSSES);
}

static void invented_ids(struct session* session, uint64_t share) {
  static const uint64_t kIds[] = {0, NOBODY, MOST, 0x80000000, 0x100000001ull};
  for (uint32_t opcode = 1; opcode <= 52; ++opcode) {
    if (opcode == FUSE_INIT || opcode == FUSE_DESTROY) continue;
    for (uint32_t i = 0; i < sizeof(kIds) / sizeof(kIds[0]); ++i) {
      begin(session);
      for (uint32_t words = 0; words < 24; ++words) word(session, 0xffffffff);
      CHECK(session->world, ask(session, opcode, kIds[i]) != 0);
    }
  }
  const uint64_t file = lookup(session, share, "file"), directory = lookup(session, share, "dir");
  const uint64_t handle = open_as(session, FUSE_OPEN, file, 2), list = open_as(session, FUSE_OPENDIR, directory, 0);
  CHECK(session->world, transfer(session, FUSE_READ, file, list, 0, 64) == BAD_FILE);
  CHECK(session->world, transfer(session, FUSE_READ, directory, handle, 0, 64) == BAD_FILE);
  CHECK(session->world, transfer(session, FUSE_READDIR, directory, handle, 0, 64) == BAD_FILE);
  CHECK(session->world, transfer(session, FUSE_WRITE, share, handle, 0, 4) == BAD_FILE);
  CHECK(session->world, transfer(session, FUSE_READ, file, MOST, 0, 64) == BAD_FILE);
  begin(session);
  wide(session, handle);
  for (uint32_t i = 0; i < 4; ++i) word(session, 0);
  CHECK(session->world, ask(session, FUSE_RELEASE, directory) == BAD_FILE);
  CHECK(session->world, transfer(session, FUSE_RELEASE, file, handle, 0, 0) == 0);
  CHECK(session->world, transfer(session, FUSE_READ, file, handle, 0, 64) == BAD_FILE);  // closed
  // Let go of as often as it was held, and more.
  begin(session);
  wide(session, MOST);
  CHECK(session->world, ask(session, FUSE_FORGET, file) == UNANSWERED);
  CHECK(session->world, ask(session, FUSE_FORGET, ROOT) == UNANSWERED);
  begin(session);
  CHECK(session->world, ask(session, FUSE_GETATTR, file) == STALE);
  CHECK(session->world, ask(session, FUSE_GETATTR, ROOT) == 0);
}

static void far_and_large(struct session* session, uint64_t share) {
  static const uint64_t kOffsets[] = {
      0, 1, 0x7fffffff, 0xfffffffffffull, 0x7fffffffffffffffull, 0x8000000000000000ull, MOST};
  static const uint32_t kSizes[] = {0, 1, 4096, 0x100000, 0x100001, 0x7fffffff, 0xffffffff};
  const uint64_t file = lookup(session, share, "file"), handle = open_as(session, FUSE_OPEN, file, 0);
  const uint64_t list = open_as(session, FUSE_OPENDIR, share, 0);
  for (uint32_t i = 0; i < sizeof(kOffsets) / sizeof(kOffsets[0]); ++i) {
    for (uint32_t j = 0; j < sizeof(kSizes) / sizeof(kSizes[0]); ++j) {
      (void)transfer(session, FUSE_READ, file, handle, kOffsets[i], kSizes[j]);
      (void)transfer(session, FUSE_READDIR, share, list, kOffsets[i], kSizes[j]);
      (void)transfer(session, FUSE_READDIRPLUS, share, list, kOffsets[i], kSizes[j]);
      // Opened for reading, and with less data than it says.
      CHECK(session->world, transfer(session, FUSE_WRITE, file, handle, kOffsets[i], kSizes[j]) != 0 || kSizes[j] == 0);
      (void)transfer(session, FUSE_LSEEK, file, handle, kOffsets[i], kSizes[j]);
      CHECK(session->world, transfer(session, FUSE_FALLOCATE, file, handle, kOffsets[i], kSizes[j]) != 0);
      begin(session);
      wide(session, handle);
      wide(session, kOffsets[i]);
      wide(session, file);
      wide(session, handle);
      wide(session, MOST - kOffsets[i]);
      wide(session, kSizes[j] | (uint64_t)kSizes[j] << 32);
      wide(session, 0);
      CHECK(session->world, ask(session, FUSE_COPY_FILE_RANGE, file) != 0);
    }
  }
}

// Lengths that lie: of the header, of arrays within, of the room for the answer.
static void lying_lengths(struct session* session, uint64_t share) {
  const uint32_t honest = (uint32_t)sizeof(struct fuse_in_header) + 5;
  static const uint32_t kLengths[] = {0, 1, 15, 16, 39, 40, 41, 44, 46, 4096, 0x7fffffff, 0xffffffff};
  for (uint32_t i = 0; i < sizeof(kLengths) / sizeof(kLengths[0]); ++i) {
    begin(session);
    name(session, "file");
    (void)send(session, FUSE_LOOKUP, share, honest, kLengths[i], ANSWER);
    // Room that ends in the middle of the answer, or of its header: then there is none.
    if (kLengths[i] <= ANSWER) (void)send(session, FUSE_LOOKUP, share, honest, honest, kLengths[i]);
    if (kLengths[i] > 0 && kLengths[i] < honest) (void)send(session, FUSE_LOOKUP, share, kLengths[i], honest, ANSWER);
  }
  for (uint32_t opcode = 1; opcode <= 60; ++opcode) {  // every operation, cut short everywhere
    if (opcode == FUSE_INIT || opcode == FUSE_DESTROY || opcode == FUSE_UNLINK || opcode == FUSE_RMDIR) continue;
    for (uint32_t length = 0; length < 36; length += 3) {
      begin(session);
      for (uint32_t filled = 0; filled < length; ++filled) bytes(session, "z", 1);
      (void)ask(session, opcode, share);
    }
  }
  begin(session);
  word(session, 0xffffffff);  // so many FORGETs
  word(session, 0);
  wide(session, share);
  wide(session, 0);
  CHECK(session->world, ask(session, FUSE_BATCH_FORGET, 0) == UNANSWERED);
}

void bad_shares(struct world* world, uint32_t victim) {
  if (get(world, victim, DEVICE_ID) == SHARE) {
    struct session session;
    CHECK(world, open_session(world, victim, &session));
    begin(&session);
    CHECK(world, ask(&session, FUSE_GETATTR, ROOT) == IO);  // before INIT
    CHECK(world, init(&session) == 0);
    const uint64_t writable = lookup(&session, ROOT, "rw"), read_only = lookup(&session, ROOT, "ro");
    bad_names(&session, writable);
    read_only_share(&session, read_only, writable);
    invented_ids(&session, writable);
    far_and_large(&session, writable);
    lying_lengths(&session, writable);
    // A second INIT forgets the first session; DESTROY ends it.
    CHECK(world, init(&session) == 0);
    begin(&session);
    CHECK(world, ask(&session, FUSE_GETATTR, writable) == STALE);
    CHECK(world, ask(&session, FUSE_DESTROY, 0) == 0);
    CHECK(world, ask(&session, FUSE_GETATTR, ROOT) == IO);
    reset(world, victim);
  }
  all_healthy(world);
}

// Any operation on anything it holds, with arguments of chance.
void random_shares(struct world* world, uint32_t victim) {
  if (get(world, victim, DEVICE_ID) == SHARE) {
    struct session session;
    CHECK(world, open_session(world, victim, &session));
    CHECK(world, init(&session) == 0);
    (void)lookup(&session, lookup(&session, ROOT, "rw"), "file");
    (void)lookup(&session, lookup(&session, ROOT, "ro"), "dir");
    for (uint32_t i = 0; i < 1000; ++i) {
      begin(&session);
      for (uint32_t words = random32(world) % 24; words > 0; --words)
        word(&session, random32(world) & random32(world) & 7);
      static const char* const kNames[] = {"file", "dir", "link", "new", "..", "."};
      if (random32(world) & 1) name(&session, kNames[random32(world) % 6]);
      const uint32_t opcode = random32(world) % 53;
      if (opcode == FUSE_DESTROY || opcode == FUSE_INIT) continue;
      (void)ask(&session, opcode, random32(world) % 8);
    }
    reset(world, victim);
  }
  all_healthy(world);
}
