-- Rights that one of the two users has by itself in this database, and the
-- shared role hasn't, nor owns the object.
with holder as (
  select oid from pg_roles where rolname in (@base, @clone)
),
heir as (
  select oid, rolname from pg_roles where rolname = @owner
),
entry (kind, object, owner, privilege, grantee, grantable) as (
  select case c.relkind when 'S' then 'SEQUENCE' else 'TABLE' end, format('%I.%I', n.nspname, c.relname), c.relowner,
    a.privilege_type, a.grantee, a.is_grantable
  from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
  union all
  select 'TABLE', format('%I.%I', n.nspname, c.relname), c.relowner,
    format('%s (%I)', a.privilege_type, t.attname), a.grantee, a.is_grantable
  from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
  where not t.attisdropped
  union all
  select 'SCHEMA', quote_ident(n.nspname), n.nspowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_namespace n, aclexplode(n.nspacl) a
  union all
  select 'ROUTINE', p.oid::regprocedure::text, p.proowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_proc p, aclexplode(p.proacl) a
  union all
  select 'TYPE', format('%I.%I', n.nspname, t.typname), t.typowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_type t join pg_namespace n on n.oid = t.typnamespace, aclexplode(t.typacl) a
  union all
  select 'LANGUAGE', quote_ident(l.lanname), l.lanowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_language l, aclexplode(l.lanacl) a
  union all
  select 'LARGE OBJECT', o.oid::text, o.lomowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_largeobject_metadata o, aclexplode(o.lomacl) a
  union all
  select 'FOREIGN DATA WRAPPER', quote_ident(w.fdwname), w.fdwowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_foreign_data_wrapper w, aclexplode(w.fdwacl) a
  union all
  select 'FOREIGN SERVER', quote_ident(f.srvname), f.srvowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_foreign_server f, aclexplode(f.srvacl) a
  union all
  select 'TABLESPACE', quote_ident(s.spcname), s.spcowner, a.privilege_type, a.grantee, a.is_grantable
  from pg_tablespace s, aclexplode(s.spcacl) a
  union all
  select 'DATABASE', quote_ident(d.datname), d.datdba, a.privilege_type, a.grantee, a.is_grantable
  from pg_database d, aclexplode(d.datacl) a
  where d.datname = current_database()
),
object as (
  select 1 as place, format('GRANT %s ON %s %s TO %I%s', e.privilege, e.kind, e.object, heir.rolname,
    case when bool_or(e.grantable) then ' WITH GRANT OPTION' else '' end) as statement
  from entry e, heir
  where e.grantee in (select oid from holder) and e.owner <> heir.oid
    and not exists (
      select from entry h
      where h.grantee = heir.oid and h.kind = e.kind and h.object = e.object and h.privilege = e.privilege
        and (h.grantable or not e.grantable)
    )
  group by e.privilege, e.kind, e.object, heir.rolname
),
-- Whoever may not connect without a grant gets one.
connection as (
  select 2 as place, format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), heir.rolname) as statement
  from heir where not has_database_privilege(heir.oid, current_database(), 'CONNECT')
),
membership as (
  select 3 as place, format('GRANT %I TO %I%s', r.rolname, heir.rolname,
    case when bool_or(m.admin_option) then ' WITH ADMIN OPTION' else '' end) as statement
  from pg_auth_members m join pg_roles r on r.oid = m.roleid, heir
  where m.member in (select oid from holder) and m.roleid not in (select oid from holder) and m.roleid <> heir.oid
    and not exists (
      select from pg_auth_members h
      where h.member = heir.oid and h.roleid = m.roleid and (h.admin_option or not m.admin_option)
    )
  group by r.rolname, heir.rolname
),
-- Row security knows roles by name.
policy as (
  select 4 as place, format('ALTER POLICY %I ON %I.%I TO %s, %I', p.polname, n.nspname, c.relname,
    (select string_agg(quote_ident(rolname), ', ' order by rolname) from pg_roles where oid = any(p.polroles)), heir.rolname) as statement
  from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace, heir
  where p.polroles && array(select oid from holder) and not heir.oid = any(p.polroles)
),
standard (role, namespace, type, privilege, grantee, grantable, objects) as (
  select d.defaclrole, d.defaclnamespace, d.defaclobjtype, a.privilege_type, a.grantee, a.is_grantable,
    case d.defaclobjtype when 'r' then 'TABLES' when 'S' then 'SEQUENCES' when 'f' then 'ROUTINES' when 'T' then 'TYPES' when 'n' then 'SCHEMAS' else 'LARGE OBJECTS' end
  from pg_default_acl d, aclexplode(d.defaclacl) a
),
-- What others' new objects grant to a user, they grant to the shared role; what
-- a user's new objects granted to others, the shared role's do. PUBLIC has the
-- right to routines and types anyway.
inheritance as (
  select 5 as place, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s GRANT %s ON %s TO %s%s', creator.rolname,
    coalesce(' IN SCHEMA ' || quote_ident(n.nspname), ''), s.privilege, s.objects, coalesce(quote_ident(grantee.rolname), 'PUBLIC'),
    case when bool_or(s.grantable) then ' WITH GRANT OPTION' else '' end) as statement
  from standard s
    cross join heir
    cross join lateral (
      select case when s.role in (select oid from holder) then heir.oid else s.role end as creator,
        case when s.role in (select oid from holder) then s.grantee else heir.oid end as grantee
    ) w
    join pg_roles creator on creator.oid = w.creator
    left join pg_roles grantee on grantee.oid = w.grantee
    left join pg_namespace n on n.oid = s.namespace
  where (s.role in (select oid from holder)) <> (s.grantee in (select oid from holder))
    and s.role <> heir.oid and s.grantee <> heir.oid
    and not (s.grantee = 0 and s.namespace = 0 and s.type in ('f', 'T'))
    and not exists (
      select from standard h
      where h.role = w.creator and h.grantee = w.grantee and h.namespace = s.namespace and h.type = s.type
        and h.privilege = s.privilege and (h.grantable or not s.grantable)
    )
  group by creator.rolname, n.nspname, s.privilege, s.objects, grantee.rolname
),
-- A user that takes PUBLIC's right to its new routines or types away.
withdrawal as (
  select distinct 6 as place, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE %s FROM PUBLIC', heir.rolname,
    case d.defaclobjtype when 'f' then 'EXECUTE ON ROUTINES' else 'USAGE ON TYPES' end) as statement
  from pg_default_acl d, heir
  where d.defaclrole in (select oid from holder) and d.defaclnamespace = 0 and d.defaclobjtype in ('f', 'T')
    and not exists (select from aclexplode(d.defaclacl) a where a.grantee = 0)
    and not exists (
      select from pg_default_acl h
      where h.defaclrole = heir.oid and h.defaclnamespace = 0 and h.defaclobjtype = d.defaclobjtype
        and not exists (select from aclexplode(h.defaclacl) a where a.grantee = 0)
    )
)
select statement
from (
  select * from object union all select * from connection union all select * from membership
  union all select * from policy union all select * from inheritance union all select * from withdrawal
) s
order by place, statement
