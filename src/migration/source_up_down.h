// The files of tools that keep a migration and its undo beside each other: goose, dbmate and sql-migrate in
// one file, by comments that begin a part; golang-migrate and sqlx in two files, N_x.up.sql and N_x.down.sql,
// Diesel in up.sql and down.sql. Used by read_sources() alone. Pure; thread-safe.
// Sources: the tools' own documentation of their annotations and file names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "migration/source.h"

namespace poundlock::migration {

// By a comment such as -- +goose Up, -- migrate:up or -- +migrate Up at the beginning of a line. The
// migration comes first, then its undo where there is one; each keeps the lines of the file. nullopt: the
// text has no such comment.
std::optional<std::vector<Source>> read_up_and_down(std::string_view text, const std::string& file);

// x.up.sql and x.down.sql, with the number that the name begins with as version. false: another name.
bool read_up_or_down_name(std::string_view file, Source& source);

}  // namespace poundlock::migration
