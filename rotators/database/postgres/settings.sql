-- Settings by role, of all databases (setdatabase 0) and of single ones: the
-- target has those of the current user. They are stored as name=value, and the
-- values of some are lists, each item of which is quoted by itself.
with setting (role, database, name, value) as (
  select r.rolname, d.datname, split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)
  from pg_db_role_setting s
    join pg_roles r on r.oid = s.setrole
    left join pg_database d on d.oid = s.setdatabase,
    unnest(s.setconfig) entry
  where s.setdatabase = 0 or d.oid is not null
),
-- In this database, sessions of both users act as the shared role.
acting as (
  select r.rolname as role, 10 as place,
    format('ALTER ROLE %I IN DATABASE %I SET role TO %L', r.rolname, current_database(), @owner::text) as statement
  from pg_roles r
  where r.rolname in (@target, @current)
    and not exists (
      select from setting s
      where s.role = r.rolname and s.database = current_database() and s.name = 'role' and s.value in (@owner, quote_ident(@owner))
    )
),
-- "$user" in the default search path means who a session acts as, which is the
-- shared role now: a schema that is named after the user stays found.
path as (
  select r.rolname as role, 20 as place,
    format('ALTER ROLE %I IN DATABASE %I SET search_path TO %L, %L, public', r.rolname, current_database(), '$user', @base::text) as statement
  from pg_roles r
  where r.rolname in (@target, @current)
    and exists (select from pg_namespace where nspname = @base)
    and not exists (select from setting s where s.role in (@target, @current) and s.name = 'search_path')
),
missing as (
  select @target::text as role, 30 as place,
    format('ALTER ROLE %I %sSET %I TO %s', @target::text,
      case when s.database is null then '' else format('IN DATABASE %I ', s.database) end,
      s.name,
      case when s.name in ('local_preload_libraries', 'search_path', 'session_preload_libraries', 'temp_tablespaces')
        then coalesce((
          select string_agg(quote_literal(case when item like '"%"' then replace(substr(item, 2, length(item) - 2), '""', '"') else item end), ', ' order by n)
          from regexp_matches(s.value, '("(?:[^"]|"")*"|[^",\s]+)', 'g') with ordinality as m (found, n), lateral (select found[1]) i (item)
        ), '''''')
        else quote_literal(s.value) end) as statement
  from setting s
  where s.role = @current and s.name <> 'role'
    and not exists (
      select from setting t
      where t.role = @target and t.name = s.name and t.database is not distinct from s.database and t.value = s.value
    )
),
surplus as (
  select @target::text as role, 40 as place,
    format('ALTER ROLE %I %sRESET %I', @target::text,
      case when s.database is null then '' else format('IN DATABASE %I ', s.database) end, s.name) as statement
  from setting s
  where s.role = @target and s.name <> 'role' and @current <> ''
    and not exists (
      select from setting c
      where c.role = @current and c.name = s.name and c.database is not distinct from s.database
    )
)
select statement
from (select * from acting union all select * from path union all select * from missing union all select * from surplus) s
where statement is not null
order by place, role, statement
