# How everything is compiled. One file, so that a preset changes one variable and not forty targets.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(POUNDLOCK_TESTS "Build the unit and scenario tests" ON)
set(POUNDLOCK_SANITIZE "" CACHE STRING "address, thread or empty")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# -g1 keeps function names and lines for a backtrace at a third of the size of -g. -O1 compiles in two
# thirds of the time of -O2, and most of the product waits for a database or a peer; what an application
# waits for is marked HOT in src/CMakeLists.txt and gets -O2. Tests are not optimised.
set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                    -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers
                    -Werror=return-type -Werror=switch)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these two inside libstdc++ for correct code at -O2.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict)
endif()

if(POUNDLOCK_SANITIZE)
  add_compile_options(-fsanitize=${POUNDLOCK_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${POUNDLOCK_SANITIZE})
  if(POUNDLOCK_SANITIZE STREQUAL "address")
    add_compile_options(-fsanitize=undefined -fno-sanitize-recover=undefined)
    add_link_options(-fsanitize=undefined)
  endif()
endif()

if(POUNDLOCK_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
find_package(Threads REQUIRED)
