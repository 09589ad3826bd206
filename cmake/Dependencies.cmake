# Product dependencies, all from Debian 12's packages (see ./dev for the list).
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(tl-expected REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
pkg_check_modules(FYAML REQUIRED IMPORTED_TARGET libfyaml)
if(POUNDLOCK_FUZZ)
  return()  # the layers base and flag need nothing else
endif()
find_package(spdlog REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
find_package(ZLIB REQUIRED)
pkg_check_modules(PROTOBUF_LITE REQUIRED IMPORTED_TARGET protobuf-lite)

# Boost.Asio, compiled once (src/server/http/asio.cpp) and not in every file that uses them.
add_library(pl_asio INTERFACE)
target_link_libraries(pl_asio INTERFACE Boost::headers)
target_compile_definitions(pl_asio INTERFACE BOOST_ASIO_SEPARATE_COMPILATION)

# libpg_query ships neither a CMake nor a pkg-config file.
find_library(PG_QUERY_LIBRARY pg_query REQUIRED)
find_path(PG_QUERY_INCLUDE pg_query.h REQUIRED)
add_library(pg_query INTERFACE)
target_include_directories(pg_query INTERFACE ${PG_QUERY_INCLUDE})
target_link_libraries(pg_query INTERFACE ${PG_QUERY_LIBRARY})

if(POUNDLOCK_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
