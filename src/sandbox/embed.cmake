# msb_embed_runtime(<program> <kernel> <initramfs>): the program carries these two files (see
# src/state/runtime_files.h). They may be made by the build; other arguments are targets that make them.
# Run as a script (cmake -P) this file writes the hash of both.
if(CMAKE_SCRIPT_MODE_FILE)
  file(SHA256 "${KERNEL}" kernel_hash)
  file(SHA256 "${INITRAMFS}" initramfs_hash)
  string(SHA256 hash "${kernel_hash} ${initramfs_hash}")
  string(SUBSTRING "${hash}" 0 16 hash)
  file(WRITE "${OUTPUT}" "${hash}")
  return()
endif()

set(MSB_EMBED_DIR "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL "")
function(msb_embed_runtime program kernel initramfs)
  set(hash "${CMAKE_CURRENT_BINARY_DIR}/${program}-runtime.hash")
  set(script "${MSB_EMBED_DIR}/embed.cmake")
  set(source "${CMAKE_CURRENT_BINARY_DIR}/${program}_embedded_runtime.c")
  configure_file("${MSB_EMBED_DIR}/embedded_runtime.c" "${source}" COPYONLY)
  add_custom_command(OUTPUT "${hash}"
    COMMAND ${CMAKE_COMMAND} -DKERNEL=${kernel} -DINITRAMFS=${initramfs} -DOUTPUT=${hash} -P ${script}
    DEPENDS "${kernel}" "${initramfs}" "${script}" ${ARGN} VERBATIM)
  set_source_files_properties("${source}" PROPERTIES
    OBJECT_DEPENDS "${kernel};${initramfs};${hash}"
    COMPILE_DEFINITIONS "MSB_EMBED_KERNEL=\"${kernel}\";MSB_EMBED_INITRAMFS=\"${initramfs}\";MSB_EMBED_HASH=\"${hash}\"")
  # ccache does not see what .incbin reads.
  add_library(${program}_runtime OBJECT "${source}" "${hash}")
  set_target_properties(${program}_runtime PROPERTIES C_COMPILER_LAUNCHER "")
  target_sources(${program} PRIVATE $<TARGET_OBJECTS:${program}_runtime>)
endfunction()
