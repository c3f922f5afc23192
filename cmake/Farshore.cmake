# SPDX-License-Identifier: Apache-2.0
# What every folder of the project builds with: the flags, the system libraries and three functions,
# farshore_library, farshore_test and farshore_fuzz.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# Asserts stay on in release: an invariant that fails stops the program before it does damage.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

add_compile_definitions(_GNU_SOURCE FARSHORE_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla)
if(FARSHORE_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE)
  add_link_options(-pie -Wl,-z,relro,-z,now)
endif()

include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(dep libevent openssl libconfig libcurl libisal libzstd liblz4 zlib libpcre2-8 jansson)
  pkg_check_modules(${dep} REQUIRED IMPORTED_TARGET ${dep})
endforeach()
find_library(SNAPPY_LIBRARY snappy REQUIRED)

# farshore_library(NAME SOURCES a.c b.c DEPS other libraries): one static library per folder.
function(farshore_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()

# farshore_test(NAME SOURCES a.c DEPS libraries [TIMEOUT seconds]): one cmocka program per unit, run by ctest.
function(farshore_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} cmocka)
  target_compile_definitions(${name} PRIVATE TEST_DATA="${PROJECT_SOURCE_DIR}/tests/fixtures")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# farshore_fuzz(NAME SOURCES a.c DEPS libraries SEEDS folder): a libFuzzer target with -DFARSHORE_FUZZ=ON; otherwise a
# program that runs the seeds through the same entry point, as a test.
function(farshore_fuzz name)
  cmake_parse_arguments(ARG "" "SEEDS" "SOURCES;DEPS" ${ARGN})
  if(FARSHORE_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME ${name} COMMAND ${name} ${ARG_SEEDS})
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
endfunction()
