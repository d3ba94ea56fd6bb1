-- What a role can't inherit, the shared role and the target have as the
-- current user has it. A seed has no current user: nothing to do.
select format('ALTER ROLE %I %s', r.rolname, a.attribute)
from pg_roles r, pg_roles c,
  lateral (values
    (r.rolcreatedb <> c.rolcreatedb, case when c.rolcreatedb then 'CREATEDB' else 'NOCREATEDB' end),
    (r.rolcreaterole <> c.rolcreaterole, case when c.rolcreaterole then 'CREATEROLE' else 'NOCREATEROLE' end),
    (r.rolreplication <> c.rolreplication, case when c.rolreplication then 'REPLICATION' else 'NOREPLICATION' end),
    (r.rolbypassrls <> c.rolbypassrls, case when c.rolbypassrls then 'BYPASSRLS' else 'NOBYPASSRLS' end),
    (r.rolname = @target and r.rolconnlimit <> c.rolconnlimit, format('CONNECTION LIMIT %s', c.rolconnlimit))
  ) a (differs, attribute)
where c.rolname = @current and r.rolname in (@target, @owner) and a.differs
union all
-- Users log in, inherit, and their passwords don't end by themselves.
select format('ALTER ROLE %I LOGIN INHERIT VALID UNTIL ''infinity''', r.rolname)
from pg_roles r
where r.rolname = @target and not (r.rolcanlogin and r.rolinherit and coalesce(r.rolvaliduntil, 'infinity') = 'infinity')
