// Extended attributes inside an EROFS inode: a header of 12 bytes, then entries aligned to 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "disk/erofs_tree.h"

namespace msb::disk {

// Whether EROFS can hold an attribute of this name: a known prefix and 1..255 bytes behind it.
bool erofs_xattr_name_ok(std::string_view name);

// 0 without attributes, else header and entries.
size_t erofs_xattr_size(const std::vector<Xattr>* xattrs);
void erofs_append_xattrs(const std::vector<Xattr>* xattrs, Bytes& out);

// Reads what erofs_append_xattrs wrote; foreign bytes, so ErrorKind::corrupt is possible.
Result<std::vector<Xattr>> erofs_parse_xattrs(ByteView bytes);

}  // namespace msb::disk
