# Layers: tar to EROFS and back, and the merge of an image's layers. A library of its own,
# so that its tests and fuzzers need no network code.
msb_pkg(zlib zlib)
msb_pkg(zstd libzstd)
msb_library(layer SOURCES
  layer_tar_fields.cc layer_tar.cc file_tree.cc layer_sink.cc layer_compression.cc layer_converter.cc
  layer_merge.cc layer_export.cc layer_tar_writer.cc tar_unpack.cc zstd_output.cc
  DEPS msb_disk msb_base_host msb_pkg::zlib msb_pkg::zstd)

msb_pkg(libarchive libarchive)
find_package(rapidcheck REQUIRED)
msb_test(layer_test SOURCES layer_tar_test.cc layer_converter_test.cc layer_merge_test.cc
  layer_oracle_test.cc
  DEPS msb_layer msb_pkg::libarchive rapidcheck rapidcheck_gtest TIMEOUT 300)
msb_fuzz(layer_export_fuzz SOURCES layer_export_fuzz.cc DEPS msb_layer CORPUS ${CMAKE_CURRENT_LIST_DIR}/../disk/corpus/erofs)
msb_fuzz(tar_fuzz SOURCES layer_tar_fuzz.cc DEPS msb_layer CORPUS ${CMAKE_CURRENT_LIST_DIR}/testing/layer_corpus)
