using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>Addresses of databases as users write them: URLs in libpq's form, and Npgsql's own.</summary>
public class PostgreSqlAddressTests
{
    [Theory]
    [InlineData("postgres://u:p@h:6000/d", "Host=h;Port=6000;Database=d;Username=u;Password=p")]
    [InlineData("postgresql://u@h/d", "Host=h;Database=d;Username=u")]
    [InlineData("postgres://u%40x:p%2F%3A%40@h/d%20e", "Host=h;Database=\"d e\";Username=u@x;Password=p/:@")]
    [InlineData("postgres://u@h/d?sslmode=verify-full&connect_timeout=3&application_name=me&sslrootcert=%2Fca.pem", "Host=h;Database=d;Username=u;SSL Mode=VerifyFull;Timeout=3;Application Name=me;Root Certificate=/ca.pem")]
    [InlineData("postgres:///d?host=%2Fvar%2Frun%2Fpostgresql&user=u", "Database=d;Host=/var/run/postgresql;Username=u")]
    [InlineData("postgres://u@[::1]:5433/d?search_path=a", "Host=::1;Port=5433;Database=d;Username=u;Search Path=a")]
    [InlineData("Host=h1:5432,h2:5433;Database=d;Username=u;Password='a;b'", "Host=h1:5432,h2:5433;Database=d;Username=u;Password=\"a;b\"")]
    [InlineData("Server=h;User Id=u", "Host=h;Username=u")]
    public void Every_form_is_read(string text, string expected) => PostgreSqlAddress.Parse(text).Settings.ConnectionString.ShouldBe(expected);

    [Theory]
    [InlineData("postgres:///d", "host")]
    [InlineData("Database=d", "host")]
    [InlineData("mysql://u:hunter2@h/d", "postgres://")]
    [InlineData("postgres://u:hunter2@h/d?hunter2", "NAME=VALUE")]
    [InlineData("postgres://u:hunter2@h/d?hunter2=hunter2", "name")]
    [InlineData("postgres://u:hunter2@h/d?sslmode=hunter2", "sslmode")]
    [InlineData("Host=h;hunter2=hunter2", "Npgsql")]
    [InlineData("Host=h;Port=hunter2", "Npgsql")]
    public void What_is_wrong_is_said_without_what_could_be_a_secret(string text, string named)
    {
        var wrong = Should.Throw<FormatException>(() => PostgreSqlAddress.Parse(text));
        wrong.Message.ShouldContain(named);
        wrong.ToString().ShouldNotContain("hunter2");
    }

    [Fact]
    public void It_prints_where_the_database_is_and_no_password()
    {
        PostgreSqlAddress.Parse("postgres://u:hunter2@h:6000/d").ToString().ShouldBe("the PostgreSQL database 'd' on h:6000");
        PostgreSqlAddress.Parse("Host=h1:1,h2:2;Username=u;Password=hunter2").ToString().ShouldBe("the PostgreSQL database 'u' on h1:1,h2:2");
    }
}
