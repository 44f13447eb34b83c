#include "disk/erofs_xattr.h"

#include <algorithm>

#include "disk/erofs_format.h"

namespace msb::disk {
namespace {

struct Prefix {
  uint8_t index;
  std::string_view text;
  bool whole_name;  // the attribute has no name behind the prefix
};
constexpr Prefix kPrefixes[] = {
    {1, "user.", false},
    {2, "system.posix_acl_access", true},
    {3, "system.posix_acl_default", true},
    {4, "trusted.", false},
    {6, "security.", false},
};

const Prefix* prefix_of(std::string_view name) {
  for (const Prefix& prefix : kPrefixes) {
    if (prefix.whole_name ? name == prefix.text : name.starts_with(prefix.text)) return &prefix;
  }
  return nullptr;
}

size_t entry_size(const Xattr& xattr) {
  size_t suffix = xattr.name.size() - prefix_of(xattr.name)->text.size();
  return erofs::round_up(sizeof(erofs::XattrEntry) + suffix + xattr.value.size(), 4);
}

}  // namespace

bool erofs_xattr_name_ok(std::string_view name) {
  const Prefix* prefix = prefix_of(name);
  if (!prefix || name.find('\0') != name.npos) return false;
  size_t suffix = name.size() - prefix->text.size();
  return prefix->whole_name || (suffix >= 1 && suffix <= 255);
}

size_t erofs_xattr_size(const std::vector<Xattr>* xattrs) {
  if (!xattrs || xattrs->empty()) return 0;
  size_t size = sizeof(erofs::XattrHeader);
  for (const Xattr& xattr : *xattrs) size += entry_size(xattr);
  return size;
}

void erofs_append_xattrs(const std::vector<Xattr>* xattrs, Bytes& out) {
  if (!xattrs || xattrs->empty()) return;
  out.resize(out.size() + sizeof(erofs::XattrHeader));
  for (const Xattr& xattr : *xattrs) {
    const Prefix* prefix = prefix_of(xattr.name);
    std::string_view suffix = std::string_view(xattr.name).substr(prefix->text.size());
    size_t end = out.size() + entry_size(xattr);
    out.push_back(static_cast<uint8_t>(suffix.size()));
    out.push_back(prefix->index);
    out.push_back(static_cast<uint8_t>(xattr.value.size()));
    out.push_back(static_cast<uint8_t>(xattr.value.size() >> 8));
    out.insert(out.end(), suffix.begin(), suffix.end());
    out.insert(out.end(), xattr.value.begin(), xattr.value.end());
    out.resize(end);
  }
}

Result<std::vector<Xattr>> erofs_parse_xattrs(ByteView bytes) {
  std::vector<Xattr> xattrs;
  ByteReader reader(bytes);
  auto header = reader.take(sizeof(erofs::XattrHeader));
  if (!header) return fail(ErrorKind::corrupt, "EROFS: extended attributes are cut off");
  // Shared attributes are never written by us.
  if ((*header)[4] != 0) return fail(ErrorKind::unsupported, "EROFS: shared extended attributes");
  while (reader.remaining() > 0) {
    auto fixed = reader.take(sizeof(erofs::XattrEntry));
    if (!fixed) return fail(ErrorKind::corrupt, "EROFS: extended attributes are cut off");
    const uint8_t name_length = (*fixed)[0], index = (*fixed)[1];
    const uint16_t value_size = load_le<uint16_t>(fixed->data() + 2);
    const Prefix* prefix =
        std::ranges::find_if(kPrefixes, [&](const Prefix& candidate) { return candidate.index == index; });
    if (prefix == std::end(kPrefixes)) return fail(ErrorKind::corrupt, "EROFS: unknown extended attribute prefix");
    auto name = reader.take(name_length);
    auto value = reader.take(value_size);
    if (!name || !value) return fail(ErrorKind::corrupt, "EROFS: extended attributes are cut off");
    Xattr xattr{cat(prefix->text, as_text(*name)), std::string(as_text(*value))};
    if (!erofs_xattr_name_ok(xattr.name)) return fail(ErrorKind::corrupt, "EROFS: bad extended attribute name");
    xattrs.push_back(std::move(xattr));
    size_t used = sizeof(erofs::XattrEntry) + name_length + value_size;
    if (!reader.take(erofs::round_up(used, 4) - used)) {
      return fail(ErrorKind::corrupt, "EROFS: extended attributes are cut off");
    }
  }
  return xattrs;
}

}  // namespace msb::disk
