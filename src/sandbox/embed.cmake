# msb_embed_runtime(<program> <initramfs> [targets that make it]): the program carries the guest's kernel, which
# kernel/build makes or has in its cache, this initramfs, and the program msb-kvm. See src/state/runtime_files.h.
# Run as a script (cmake -P) this file writes the hash of all.
if(CMAKE_SCRIPT_MODE_FILE)
  file(SHA256 "${KERNEL}" kernel_hash)
  file(SHA256 "${INITRAMFS}" initramfs_hash)
  if(KVM)
    file(SHA256 "${KVM}" kvm_hash)
  endif()
  string(SHA256 hash "${kernel_hash} ${initramfs_hash} ${kvm_hash}")
  string(SUBSTRING "${hash}" 0 16 hash)
  file(WRITE "${OUTPUT}" "${hash}")
  return()
endif()

set(MSB_EMBED_DIR "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL "")
function(msb_embed_runtime program initramfs)
  set(kernel "${CMAKE_CURRENT_BINARY_DIR}/vmlinux")
  set(hash "${CMAKE_CURRENT_BINARY_DIR}/runtime.hash")
  set(source "${CMAKE_CURRENT_BINARY_DIR}/embedded_runtime.c")
  set(script "${MSB_EMBED_DIR}/embed.cmake")
  configure_file("${MSB_EMBED_DIR}/embedded_runtime.c" "${source}" COPYONLY)
  file(GLOB kernel_inputs CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/kernel/build" "${CMAKE_SOURCE_DIR}/kernel/guest.config"
       "${CMAKE_SOURCE_DIR}/kernel/patches/*.patch")
  add_custom_command(OUTPUT "${kernel}"
    COMMAND sh -c "cp \"$(\"$1\")\" \"$2.new\" && mv \"$2.new\" \"$2\"" sh "${CMAKE_SOURCE_DIR}/kernel/build" "${kernel}"
    DEPENDS ${kernel_inputs} VERBATIM COMMENT "Guest kernel")
  set(files "${kernel}" "${initramfs}")
  set(definitions "MSB_EMBED_KERNEL=\"${kernel}\"" "MSB_EMBED_INITRAMFS=\"${initramfs}\"" "MSB_EMBED_HASH=\"${hash}\"")
  set(kvm "")
  if(TARGET msb-kvm)
    set(kvm "${CMAKE_CURRENT_BINARY_DIR}/msb-kvm")
    add_custom_command(OUTPUT "${kvm}" COMMAND ${CMAKE_COMMAND} -E copy "$<TARGET_FILE:msb-kvm>" "${kvm}"
      DEPENDS msb-kvm VERBATIM)
    list(APPEND files "${kvm}")
    list(APPEND definitions "MSB_EMBED_KVM=\"${kvm}\"")
  endif()
  add_custom_command(OUTPUT "${hash}"
    COMMAND ${CMAKE_COMMAND} -DKERNEL=${kernel} -DINITRAMFS=${initramfs} -DKVM=${kvm} -DOUTPUT=${hash} -P ${script}
    DEPENDS ${files} "${script}" ${ARGN} VERBATIM)
  set_source_files_properties("${source}" PROPERTIES
    OBJECT_DEPENDS "${files};${hash}" COMPILE_DEFINITIONS "${definitions}")
  add_library(${program}_runtime OBJECT "${source}" "${hash}" "${kernel}" ${kvm})
  # ccache does not see what .incbin reads.
  set_target_properties(${program}_runtime PROPERTIES C_COMPILER_LAUNCHER "")
  target_sources(${program} PRIVATE $<TARGET_OBJECTS:${program}_runtime>)
endfunction()
