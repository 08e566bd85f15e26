using Analytics.Actors.Node.Configuration;

namespace Analytics.Actors.Tests.Configuration;

/// <summary>No secret is printed: not in the effective configuration, and not in a message about a wrong value.</summary>
public class SecretsTests
{
    private const string Hidden = "hunter2";

    [Fact]
    public void The_effective_configuration_shows_every_option_and_no_secret()
    {
        using var folder = new ConfigurationFolder($$"""
            { "store": { "url": "postgres://analytics:{{Hidden}}@db:5432/a?sslpassword={{Hidden}}" }, "kafka": { "bootstrapServers": "k:1",
              "common": { "sasl.username": "visible", "sasl.password": "{{Hidden}}", "ssl.key.password": "{{Hidden}}", "ssl.key.pem": "{{Hidden}}",
                "sasl.oauthbearer.client.secret": "{{Hidden}}", "sasl.pasword": "{{Hidden}}", "ssl.keystore.password": "{{Hidden}}",
                "sasl.oauthbearer.config": "principal={{Hidden}}" } } }
            """);
        var text = folder.Valid(["ANALYTICS__Kafka__Consumer__sasl_jaas_config=x " + Hidden]).Describe();
        text.ShouldNotContain(Hidden);
        foreach (var line in (string[])["kafka.common.sasl.password: ***", "kafka.common.sasl.username: visible", "store.url: postgres://analytics:***@db:5432/a?***",
            "shards: 16", "pools.default: ", "http.port: 8000", "log.level: Information", "stopDeadlineSeconds: 30", "limits.entities: ", "limits.passivateAfterSeconds: 600", "limits.hugePages: true", "deadLetters.keptDays: 14", "deadLetters.keptPerShard: 10000", "checkpoint.idleMs: 1000"])
        {
            text.ShouldContain(line);
        }
    }

    [Theory]
    [InlineData("postgres://u:hunter2@h/d")]
    [InlineData("postgresql://u:p%40hunter2@h:5432/d")]
    [InlineData("Host=h;Username=u;Password=hunter2;Database=d")]
    [InlineData("Host=h;Username=u;PWD='a;hunter2';Database=d")]
    [InlineData("Host=h;Passfile=hunter2;SSL Password=hunter2;Options=-c x=hunter2")]
    public void A_database_url_shows_where_and_who_but_no_password(string url)
    {
        using var folder = new ConfigurationFolder();
        var text = folder.Valid([$"DATABASE_URL={url}"]).Describe();
        text.ShouldContain("store.url: ");
        text.ShouldContain("***");
        text.ShouldNotContain(Hidden);
    }

    [Theory]
    [InlineData("DATABASE_URL=mysql://u:hunter2@h/d")]
    [InlineData("DATABASE_URL=postgres:/u:hunter2")]
    [InlineData("DATABASE_URL=hunter2")]
    [InlineData("DATABASE_URL=postgresql://u:p@hunter2@h:5432/d")]
    [InlineData("ANALYTICS__Kafka__Common__sasl_password=hunter2\0")]
    [InlineData("ANALYTICS__Kafka__sasl_password=hunter2")]
    [InlineData("ANALYTICS__SaslPasword=hunter2")]
    [InlineData("ANALYTICS__Somewhere=hunter2")]
    [InlineData("KAFKA_BOOTSTRAP_SERVERS=sasl://u:hunter2@k:1")]
    public void A_message_about_a_wrong_value_does_not_show_a_secret(string variable)
    {
        using var folder = new ConfigurationFolder();
        var (exitCode, error) = folder.Check(variable);
        exitCode.ShouldBe(2);
        error.ShouldContain("***");
        error.ShouldNotContain(Hidden);
    }

    [Theory]
    [InlineData("\"kafka\": { \"bootstrapServers\": \"k:1\", \"common\": { \"sasl.password\": [\"hunter2\"] } }")]
    [InlineData("\"kafka\": { \"bootstrapServers\": \"k:1\", \"common\": { \"sasl.password\": \"hunter2\", \"sasl.password\": \"hunter2\" } }")]
    [InlineData("\"kafka\": { \"bootstrapServers\": \"k:1\", \"comon\": { \"sasl.password\": \"hunter2\" } }")]
    [InlineData("\"kafka\": { \"bootstrapServers\": \"k:1\", \"sasl\": \"hunter2\" }")]
    [InlineData("\"kafka\": { \"bootstrapServers\": \"k:1\", \"common\": { \"sasl.password\": \"hunter2\" \"x\": 1 } }")]
    [InlineData("\"kafka\": { \"bootstrapServers\": \"k:1\", \"common\": \"sasl.password=hunter2\" }")]
    public void Nor_does_one_about_the_file(string kafka)
    {
        using var folder = new ConfigurationFolder($$"""{ "store": { "path": "a" }, {{kafka}} }""");
        var (exitCode, error) = folder.Check();
        exitCode.ShouldBe(2);
        error.ShouldNotBeEmpty();
        error.ShouldNotContain(Hidden);
    }

    [Theory]
    [InlineData("--set:kafka.common.sasl.password:hunter2")]
    [InlineData("--set:kafka.comon.sasl.password=hunter2")]
    public void Nor_does_one_about_an_argument(string setting)
    {
        using var folder = new ConfigurationFolder();
        var problems = folder.Read(settings: [setting["--set:".Length..]]).Problems;
        problems.ShouldHaveSingleItem().ToString().ShouldNotContain(Hidden);
    }

    [Theory]
    [InlineData("sasl.password", true)]
    [InlineData("ssl.key.password", true)]
    [InlineData("kafka.common.sasl.oauthbearer.token.endpoint.url", true)]
    [InlineData("ssl.key.location", false)]
    [InlineData("sasl.username", false)]
    [InlineData("shards", false)]
    public void Secrets_are_known_by_name(string path, bool secret) => Secrets.IsSecret(path).ShouldBe(secret);
}
