# Precompiled headers: the standard library, fmt and Boost.JSON take half of what most files need to
# compile, GoogleTest as much again. Off by default, so that the other presets find a file that forgot an
# include of its own; the release preset turns it on.
option(POUNDLOCK_PCH "Precompile the headers of the standard library, fmt, Boost.JSON and GoogleTest" OFF)

set(product_headers <algorithm> <array> <atomic> <chrono> <cstdint> <filesystem> <fstream> <functional> <map>
    <memory> <mutex> <optional> <set> <span> <sstream> <string> <string_view> <thread> <utility> <variant>
    <vector> <fmt/format.h> <fmt/ranges.h> <boost/json.hpp> <tl/expected.hpp>)
set(server_headers <boost/asio.hpp> <spdlog/spdlog.h>)
set(test_headers ${product_headers} <gmock/gmock.h> <gtest/gtest.h>)

# What few files of a layer include is not among them: with CLI11 in it, each file of pl_cli took 3 s longer.
#
# A precompiled header serves the targets that are compiled with the same options, so each kind has one of
# its own, made by a target that holds nothing else. ccache needs -fpch-preprocess (and a variable: ./dev).
function(poundlock_precompiled_kind kind)
  cmake_parse_arguments(ARG "" "" "HEADERS;LINK;OPTIONS" ${ARGN})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/pch_${kind}.cpp CONTENT "")
  add_library(pch_${kind} OBJECT ${CMAKE_BINARY_DIR}/generated/pch_${kind}.cpp)
  target_link_libraries(pch_${kind} PRIVATE tl::expected fmt::fmt Boost::json Threads::Threads ${ARG_LINK})
  target_compile_options(pch_${kind} PRIVATE ${ARG_OPTIONS} -fpch-preprocess)
  target_precompile_headers(pch_${kind} PRIVATE ${ARG_HEADERS})
  # Libraries are compiled with -fPIC, programs with -fPIE; so must be what they share.
  set_target_properties(pch_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
endfunction()

# poundlock_precompiled(TARGET KIND): KIND is product, hot, server or test. Of one optimisation each: g++ 12
# takes a header that was made at -O1 at -O2, too, and then crashes.
function(poundlock_precompiled target kind)
  if(POUNDLOCK_PCH)
    target_compile_options(${target} PRIVATE -fpch-preprocess)
    target_precompile_headers(${target} REUSE_FROM pch_${kind})
  endif()
endfunction()

# Compiling a test at -O1 takes longer than an unoptimised one takes to run.
function(poundlock_unoptimised_test target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O0>)
  poundlock_precompiled(${target} test)
endfunction()

if(POUNDLOCK_PCH)
  poundlock_precompiled_kind(product HEADERS ${product_headers} OPTIONS -fPIC)
  poundlock_precompiled_kind(hot HEADERS ${product_headers} OPTIONS ${POUNDLOCK_HOT_OPTIONS} -fPIC)
  poundlock_precompiled_kind(server HEADERS ${product_headers} ${server_headers} OPTIONS -fPIC
                             LINK spdlog::spdlog OpenSSL::SSL pl_asio)
  if(POUNDLOCK_TESTS)
    poundlock_precompiled_kind(test HEADERS ${test_headers} LINK GTest::gmock
                               OPTIONS $<$<CONFIG:Release>:-O0> -fPIE)
  endif()
endif()
