using Analytics.Actors.Node.Configuration;

namespace Analytics.Actors.Tests.Configuration;

/// <summary>Tokens, certificates and who may listen where, as a configuration says it; never with a token in what is printed.</summary>
public class AccessConfigurationTests
{
    private const string Token = "hunter2-hunter2-hunter2";

    [Fact]
    public void Tokens_come_from_the_file_from_secret_files_and_from_the_environment()
    {
        using var folder = new ConfigurationFolder($$"""
            { {{ConfigurationFolder.Least}}, "http": { "host": "0.0.0.0", "tokens": [
                { "name": "ops", "token": "{{Token}}", "rights": "steer" },
                { "name": "grafana", "tokenFile": "FILE", "rights": "read" } ] },
              "metrics": { "host": "0.0.0.0" }, "cluster": { "token": "{{Token}}-nodes" } }
            """);
        var file = folder.In("grafana.token");
        File.WriteAllText(file, $"{Token}-file\n");
        File.WriteAllText(folder.Node, File.ReadAllText(folder.Node).Replace("FILE", file, StringComparison.Ordinal));
        var options = folder.Valid();
        options.Access.Tokens.Select(token => (token.Name, token.Right)).ShouldBe([("ops", Right.Steer), ("grafana", Right.Read)]);
        options.Access.Tokens[1].Hash.ToArray().ShouldBe(AccessToken.HashOf($"{Token}-file"));
        options.Access.ClusterToken!.Reveal().ShouldBe($"{Token}-nodes");
        options.Describe().ShouldContain("http.tokens: ***");
        options.Describe().ShouldNotContain("hunter2");
        options.ToString().ShouldNotContain("hunter2");

        var other = folder.Valid(
            [$$"""ANALYTICS__Http__Tokens=[{"name":"eva","token":"{{Token}}","rights":"read"}]"""],
            [$"cluster.token={Token}-other"]);
        other.Access.Tokens.ShouldHaveSingleItem().Name.ShouldBe("eva");
        other.Access.ClusterToken!.Reveal().ShouldBe($"{Token}-other");
    }

    [Fact]
    public void Certificates_give_rights_by_their_names()
    {
        using var folder = new ConfigurationFolder($$"""
            { {{ConfigurationFolder.Least}}, "http": { "host": "::", "tls": { "certificate": "/c.pem", "key": "/k.pem", "clientCa": "/ca.pem", "clients": { "ops": "steer" } } },
              "metrics": { "host": "0.0.0.0", "open": true } }
            """);
        var access = folder.Valid(["ANALYTICS__Http__Tls__Clients__grafana=read"]).Access;
        access.Tls!.Clients.ShouldBe(new Dictionary<string, Right> { ["ops"] = Right.Steer, ["grafana"] = Right.Read }, ignoreOrder: true);
        access.IsOpen.ShouldBeFalse();
        access.IsMetricsOpen.ShouldBeTrue();
    }

    [Theory]
    [InlineData("\"http\": { \"host\": \"0.0.0.0\" }", "http.host", "0.0.0.0", "set \"http.tokens\"")]
    [InlineData("\"http\": { \"host\": \"10.0.0.1\", \"tls\": { \"certificate\": \"c\", \"key\": \"k\" } }", "http.host", "10.0.0.1", "\"clientCa\"")]
    [InlineData("\"metrics\": { \"host\": \"::\" }", "metrics.host", "::", "\"metrics.open\": true")]
    [InlineData("\"http\": { \"tokens\": [{ \"name\": \"ops\", \"token\": \"hunter2\", \"rights\": \"read\" }] }", "http.tokens[0].token", "***", "16 to 500")]
    [InlineData("\"http\": { \"tokens\": [{ \"name\": \"ops\", \"token\": \"hunter2 hunter2 hunter2\", \"rights\": \"read\" }] }", "http.tokens[0].token", "***", "16 to 500")]
    [InlineData("\"http\": { \"tokens\": [{ \"name\": \"ops\", \"token\": \"hunter2-hunter2-hunter2\", \"rights\": \"all\" }] }", "http.tokens[0].rights", "***", "\"read\" or \"steer\"")]
    [InlineData("\"http\": { \"tokens\": [{ \"name\": \"ops\", \"rights\": \"read\" }] }", "http.tokens[0].token", "", "\"tokenFile\"")]
    [InlineData("\"http\": { \"tokens\": [{ \"name\": \"ops\", \"tokenFile\": \"/no/such/file\", \"rights\": \"read\" }] }", "http.tokens[0].tokenFile", "***", "/no/such/file cannot be read")]
    [InlineData("\"http\": { \"tokens\": \"hunter2-hunter2-hunter2\" }", "http.tokens", "***", "must be a list of tokens")]
    [InlineData("\"http\": { \"tls\": { \"certificate\": \"c\" } }", "http.tls.key", "", "the certificate's key")]
    [InlineData("\"http\": { \"tls\": { \"certificate\": \"c\", \"key\": \"k\", \"clientCa\": \"a\" } }", "http.tls.clients", "", "common names")]
    [InlineData("\"cluster\": { \"token\": \"hunter2\" }", "cluster.token", "***", "16 to 500")]
    [InlineData("\"cluster\": { \"tokken\": \"hunter2\" }", "cluster.tokken", "***", "unknown key")]
    public void What_is_wrong_is_said_without_the_token(string option, string path, string value, string rule)
    {
        using var folder = new ConfigurationFolder($$"""{ {{ConfigurationFolder.Least}}, {{option}} }""");
        var (exitCode, error) = folder.Check();
        exitCode.ShouldBe(2);
        error.ShouldStartWith($"{folder.Node}: {path}: value \"{value}\": ");
        error.ShouldContain(rule);
        error.ShouldNotContain("hunter2");
        error.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(1);
    }

    [Theory]
    [InlineData("""[{"name":"a","token":"hunter2-hunter2-hunter2","rights":"read"},{"name":"a","token":"hunter2-hunter2-hunter3","rights":"read"}]""", "stands twice")]
    [InlineData("""[{"name":"a","token":"hunter2-hunter2-hunter2","rights":"read"},{"name":"b","token":"hunter2-hunter2-hunter2","rights":"steer"}]""", "token of another name")]
    [InlineData("""[{"name":"a b","token":"hunter2-hunter2-hunter2","rights":"read"}]""", "letters, digits")]
    [InlineData("""[{"name":"hunter2" """, "must be a list of tokens")]
    [InlineData("hunter2", "must be a list of tokens")]
    public void A_list_from_the_environment_is_read_as_strictly(string tokens, string rule)
    {
        using var folder = new ConfigurationFolder();
        var (exitCode, error) = folder.Check($"ANALYTICS__Http__Tokens={tokens}");
        exitCode.ShouldBe(2);
        error.ShouldContain("http.tokens");
        error.ShouldContain(rule);
        error.ShouldNotContain("hunter2");
    }
}
