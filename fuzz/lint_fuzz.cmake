# The layers schema and lint, and the readers of migration files, with the fuzzer's sanitizers. libpg_query is
# the system's, without them.
find_library(PG_QUERY_LIBRARY pg_query REQUIRED)
find_path(PG_QUERY_INCLUDE pg_query.h REQUIRED)
file(GLOB lint_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/schema/*.cpp ${CMAKE_SOURCE_DIR}/src/lint/*.cpp
     ${CMAKE_SOURCE_DIR}/src/lint/rules/*.cpp ${CMAKE_SOURCE_DIR}/src/migration/source*.cpp)
list(FILTER lint_sources EXCLUDE REGEX "_test\\.cpp$")
add_library(pl_lint STATIC ${lint_sources})
target_include_directories(pl_lint PUBLIC ${CMAKE_SOURCE_DIR}/src ${PG_QUERY_INCLUDE})
target_link_libraries(pl_lint PUBLIC pl_base ${PG_QUERY_LIBRARY})
poundlock_table(lint rules Rule poundlock::lint "lint/rule.h")
target_link_libraries(${name} PRIVATE pl_lint)
