# What `rails db:migrate` and its like do, by Active Record alone: ruby migrate.rb URL FOLDER up|down|status.
require "active_record"

url, folder, what = ARGV
ActiveRecord::Base.establish_connection(url)
ActiveRecord::Migrator.migrations_paths = [folder]
ActiveRecord::Migration.verbose = false
connection = ActiveRecord::Base.connection
pool = ActiveRecord::Base.connection_pool
context = pool.respond_to?(:migration_context) ? pool.migration_context : connection.migration_context
case what
when "up" then context.migrate
when "down" then context.rollback(context.migrations.size)
when "init"
  history = pool.respond_to?(:schema_migration) ? pool.schema_migration : ActiveRecord::SchemaMigration
  history.create_table
when "status" then puts "pending #{context.open.pending_migrations.size} of #{context.migrations.size}"
else abort "up, down, init or status"
end
