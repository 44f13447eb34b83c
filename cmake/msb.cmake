# Helpers shared by every CMakeLists: compiler settings, one function per kind of target.
#
#   msb_library(name SOURCES a.cc b.cc DEPS msb_base ...)   static library msb_<name>, alias msb::<name>
#   msb_test(name SOURCES a_test.cc ... DEPS ...)           GoogleTest program <name>, discovered by ctest
#   msb_fuzz(name SOURCES a_fuzz.cc DEPS ... [CORPUS dir])  libFuzzer program in the fuzz preset; in all other
#                                                           presets it is built as a corpus replay test
#   msb_pkg(target pkgconfig-name)                          imported target msb_pkg::<target>

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

option(MSB_ASAN "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(MSB_TSAN "ThreadSanitizer" OFF)
option(MSB_FUZZ "libFuzzer targets (with ASan and UBSan)" OFF)

find_program(MSB_CCACHE ccache)
if(MSB_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${MSB_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MSB_CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(tl-expected REQUIRED)

add_library(msb_options INTERFACE)
target_include_directories(msb_options INTERFACE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include")
target_compile_options(msb_options INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Wthread-safety
  -fno-omit-frame-pointer -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_compile_definitions(msb_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64 JSON_USE_IMPLICIT_CONVERSIONS=0
  MSB_VERSION="${PROJECT_VERSION}")
target_link_libraries(msb_options INTERFACE tl::expected Threads::Threads)
if(NOT MSB_ASAN AND NOT MSB_TSAN AND NOT MSB_FUZZ AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(msb_options INTERFACE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
endif()
if(MSB_ASAN OR MSB_FUZZ)
  target_compile_options(msb_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(msb_options INTERFACE -fsanitize=address,undefined)
endif()
if(MSB_FUZZ)
  target_compile_options(msb_options INTERFACE -fsanitize=fuzzer-no-link)
  target_compile_definitions(msb_options INTERFACE MSB_FUZZING)
endif()
if(MSB_TSAN)
  target_compile_options(msb_options INTERFACE -fsanitize=thread)
  target_link_options(msb_options INTERFACE -fsanitize=thread)
endif()

if(MSB_FUZZ)
  file(WRITE "${CMAKE_BINARY_DIR}/fuzz-targets.txt" "")
endif()

enable_testing()
include(GoogleTest)

function(msb_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(msb_${name} STATIC ${ARG_SOURCES})
  add_library(msb::${name} ALIAS msb_${name})
  target_link_libraries(msb_${name} PUBLIC msb_options ${ARG_DEPS})
endfunction()

function(msb_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(MSB_FUZZ)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} msb_options GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# A fuzz target is one file with LLVMFuzzerTestOneInput. Outside the fuzz preset
# it is linked with a replay main, so that its corpus is an ordinary test.
function(msb_fuzz name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;DEPS" ${ARGN})
  if(MSB_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_property(GLOBAL APPEND PROPERTY MSB_FUZZ_TARGETS ${name})
    file(APPEND "${CMAKE_BINARY_DIR}/fuzz-targets.txt" "${name} ${ARG_CORPUS}\n")
  else()
    add_executable(${name} ${ARG_SOURCES} "${CMAKE_SOURCE_DIR}/cmake/fuzz_replay.cc")
    if(ARG_CORPUS)
      add_test(NAME ${name} COMMAND ${name} "${ARG_CORPUS}")
    else()
      add_test(NAME ${name} COMMAND ${name})
    endif()
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} msb_options)
endfunction()

# A library known to pkg-config, so that no CMakeLists names a -l flag. A program with the property MSB_CARRIES_LIBRARIES
# gets the static archive: it starts twice as fast as with the dynamic linker at work, and runs where the library is not
# installed.
function(msb_pkg target package)
  if(TARGET msb_pkg_${target})
    return()
  endif()
  pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${package})
  list(GET ${target}_LIBRARIES 0 name)
  find_library(MSB_ARCHIVE_${target} NAMES lib${name}.a REQUIRED)
  add_library(msb_pkg_${target} INTERFACE)
  target_include_directories(msb_pkg_${target} SYSTEM INTERFACE ${${target}_INCLUDE_DIRS})
  target_link_libraries(msb_pkg_${target} INTERFACE
    "$<IF:$<BOOL:$<TARGET_PROPERTY:MSB_CARRIES_LIBRARIES>>,${MSB_ARCHIVE_${target}},PkgConfig::${target}>")
  add_library(msb_pkg::${target} ALIAS msb_pkg_${target})
endfunction()
