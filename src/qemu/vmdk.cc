#include "qemu/vmdk.h"

#include "base/cat.h"

namespace msb::qemu {

std::string vmdk_descriptor(const std::vector<VmdkExtent>& extents) {
  std::string text =
      "# Disk DescriptorFile\n"
      "version=1\n"
      "CID=fffffffe\n"
      "parentCID=ffffffff\n"
      "createType=\"twoGbMaxExtentFlat\"\n";
  // No empty line: QEMU would read the line after it twice. It skips extents whose access is not RW; the
  // read-only node above them is what forbids writing.
  for (const auto& extent : extents) text += cat("RW ", extent.size / 512, " FLAT \"", extent.file, "\" 0\n");
  return text;
}

}  // namespace msb::qemu
