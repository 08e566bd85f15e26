using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Analytics.Actors.Tests.Tidy;

/// <summary>Rules about the code itself. Each failure says where it is and what to do instead.</summary>
public partial class TidyTests
{
    private const int LinesMax = 700;

    // Words that these very rules look for are put together, so that this file does not break them.
    private static readonly Regex Unfinished = new($@"\b({"FIX"}ME|{"TO"}DO|{"HA"}CK)\b");
    private static readonly Regex Sleeping = new($@"\b(Thread\.{"Sleep"}|Task\.{"Delay"})\b");

    private static readonly (Regex Pattern, string Remedy)[] ImpureWords =
    [
        (Clock(), "time comes in with the message (nowMs); only hosts read a clock"),
        (Threads(), "Core takes one message at a time on its caller's thread; what waits or runs beside belongs to the host"),
        (InputOutput(), "Core does no I/O: give the host an effect to carry out"),
        (Chance(), "chance comes in with a seed in the settings, so that the same input gives the same state"),
    ];

    // Where a word of the list above is right, and why.
    private static readonly (string File, string Word, string Why)[] Allowed =
    [
        ("Checkpoints/ICheckpointStore.cs", "ValueTask", "the port that hosts implement: databases are waited for"),
        ("Checkpoints/ICheckpointStore.cs", "IAsyncDisposable", "the same"),
        ("Checkpoints/ICheckpointStore.cs", "async", "the one helper on that port"),
        ("Checkpoints/ICheckpointStore.cs", "await", "the one helper on that port"),
        ("Checkpoints/IDeadLetterStore.cs", "ValueTask", "the port that hosts implement: databases are waited for"),
        ("Checkpoints/IDeadLetterStore.cs", "async", "the one helper on that port"),
        ("Checkpoints/IDeadLetterStore.cs", "await", "the one helper on that port"),
        ("Cluster/IClusterStore.cs", "ValueTask", "the port that hosts implement: databases are waited for"),
        ("Checkpoints/IConfigurationStore.cs", "ValueTask", "the port that hosts implement: databases are waited for"),
        ("Checkpoints/MemoryCheckpointStore.Cluster.cs", "ValueTask", "it implements the port, and never waits"),
        ("Checkpoints/MemoryCheckpointStore.Cluster.cs", "lock", "hosts with threads may share one in a demo"),
        ("Checkpoints/MemoryCheckpointStore.cs", "ValueTask", "it implements the port, and never waits"),
        ("Checkpoints/MemoryCheckpointStore.cs", "Lock", "hosts with threads may share one in a demo"),
        ("Checkpoints/MemoryCheckpointStore.cs", "lock", "hosts with threads may share one in a demo"),
        ("Modules/IModule.cs", "ValueTask", "modules run in the host's pool and may wait"),
        ("Records/BufferPool.cs", "Lock", "hosts read on one thread and apply on another: buffers go to and fro between them"),
        ("Records/BufferPool.cs", "lock", "hosts read on one thread and apply on another: buffers go to and fro between them"),
        ("Nodes/NodeCore.cs", "Random", "seeded by its settings: pauses before takeovers must differ between nodes"),
    ];

    // Who may see whom. A project that is not named here may see every other below src.
    private static readonly Dictionary<string, string[]> References = new()
    {
        ["src/Analytics.Actors.Core"] = [],
        ["src/Analytics.Actors.Kafka"] = ["src/Analytics.Actors.Core"],
        ["src/Analytics.Actors.Storage"] = ["src/Analytics.Actors.Core"],
        ["src/Analytics.Actors.Node"] = ["src/Analytics.Actors.Core", "src/Analytics.Actors.Kafka", "src/Analytics.Actors.Storage"],
        ["tests/Analytics.Actors.Simulation"] = ["src/Analytics.Actors.Core"],
    };

    private static readonly string[] CorePackages = ["Google.Protobuf", "Grpc.Tools"];

    private static readonly HashSet<string> TopLevel = new(StringComparer.Ordinal)
    {
        "src", "tests", "cluster-config", "deploy", "docs", ".ci", ".github", ".git", ".run", "TestResults",
        "Analytics.Actors.sln", "README.md", "ARCHITECTURE.md", "LICENSE", "global.json", "analytics", "test.sh",
        ".editorconfig", ".gitignore", ".gitattributes", ".dockerignore", "Directory.Build.props", "Directory.Packages.props", "nuget.config",
    };

    [Fact]
    public void Core_has_no_clock_no_threads_no_files_and_no_chance()
    {
        var findings = new List<string>();
        var used = new HashSet<(string, string)>();
        foreach (var file in Repository.Files("src/Analytics.Actors.Core", "*.cs"))
        {
            var name = Path.GetRelativePath(Path.Combine(Repository.Root, "src/Analytics.Actors.Core"), file).Replace('\\', '/');
            foreach (var (line, word, remedy) in Impurities(File.ReadAllText(file)))
            {
                if (Allowed.Any(allowed => allowed.File == name && allowed.Word == word)) used.Add((name, word));
                else findings.Add($"src/Analytics.Actors.Core/{name}:{line}: {word}: {remedy}");
            }
        }

        findings.AddRange(Allowed.Where(allowed => !used.Contains((allowed.File, allowed.Word))).Select(allowed => $"{allowed.File} does not use {allowed.Word} any more: take it from the list of what is allowed"));
        Report(findings);
    }

    [Theory]
    [InlineData("var now = DateTime.UtcNow;", "DateTime.UtcNow")]
    [InlineData("DateTimeOffset.Now.ToString()", "DateTimeOffset.Now")]
    [InlineData("Stopwatch.StartNew()", "Stopwatch")]
    [InlineData("Environment.TickCount64", "Environment.TickCount64")]
    [InlineData("private readonly TimeProvider time;", "TimeProvider")]
    [InlineData("Task.Run(() => 1)", "Task")]
    [InlineData("public async void Go()", "async")]
    [InlineData("new Thread(Run).Start()", "Thread")]
    [InlineData("lock (gate) { }", "lock")]
    [InlineData("Interlocked.Increment(ref count)", "Interlocked")]
    [InlineData("File.ReadAllText(path)", "File.")]
    [InlineData("Console.WriteLine(1)", "Console")]
    [InlineData("var random = new Random();", "Random")]
    [InlineData("Random.Shared.Next()", "Random")]
    [InlineData("Guid.NewGuid()", "Guid.NewGuid")]
    public void The_rule_for_Core_notices(string code, string word) => Impurities($"class C\n{{\n    {code}\n}}").ShouldHaveSingleItem().ShouldBe((3, word, Impurities($"\n\n{code}").Single().Remedy));

    [Theory]
    [InlineData("// a Task for Thread and DateTime.Now")]
    [InlineData("/// <summary>The lock of a Console.</summary>")]
    [InlineData("var text = \"a Thread in a File.\";")]
    [InlineData("var profile = Profile.Of(topic); var randomness = 5; TaskName();")]
    public void The_rule_for_Core_does_not_mind_words_in_texts(string code) => Impurities(code).ShouldBeEmpty();

    [Fact]
    public void Projects_see_only_whom_they_may()
    {
        var findings = new List<string>();
        foreach (var file in Repository.Files("src", "*.csproj").Concat(Repository.Files("tests", "*.csproj")))
        {
            var project = Repository.Relative(Path.GetDirectoryName(file)!);
            var document = XDocument.Load(file);
            foreach (var reference in document.Descendants("ProjectReference").Select(element => element.Attribute("Include")!.Value))
            {
                var target = Repository.Relative(Path.GetDirectoryName(Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, reference)))!);
                var isAllowed = References.TryGetValue(project, out var targets) ? targets.Contains(target) : target.StartsWith("src/", StringComparison.Ordinal) || project.StartsWith("tests/", StringComparison.Ordinal);
                if (!isAllowed) findings.Add($"{Repository.Relative(file)} refers to {target}: move what is needed to Core, or hand it in from Node");
            }

            if (project != "src/Analytics.Actors.Core") continue;
            foreach (var package in document.Descendants("PackageReference").Select(element => element.Attribute("Include")!.Value).Except(CorePackages))
                findings.Add($"{Repository.Relative(file)} takes the package {package}: Core has the framework and protobuf, nothing else");
        }

        Report(findings);
    }

    [Fact]
    public void Nothing_is_left_for_later()
    {
        var findings = new List<string>();
        foreach (var folder in new[] { "src", "tests", "cluster-config", "deploy" }.Where(folder => Directory.Exists(Path.Combine(Repository.Root, folder))))
        {
            foreach (var file in Repository.Files(folder, "*").Where(IsText))
                findings.AddRange(Lines(file, Unfinished, "do it now, or write it into the README's list of what is not there"));
        }

        Report(findings);
    }

    [Fact]
    public void Tests_wait_for_events_and_never_for_time()
    {
        var findings = new List<string>();
        // A process, or a node behind HTTP, tells nothing by itself: these two ask again until it is so, with a deadline.
        string[] asking = ["tests/Analytics.Actors.Integration/Support/Wait.cs", "tests/Analytics.Actors.Tests/Http/LiveNode.cs"];
        foreach (var file in Repository.Files("tests", "*.cs").Where(file => !asking.Contains(Repository.Relative(file)))) findings.AddRange(Lines(file, Sleeping, "wait for an event (see EventLog), or move virtual time"));
        Report(findings);
    }

    [Fact]
    public void Every_file_says_its_job_and_every_public_type_its_own()
    {
        var findings = new List<string>();
        foreach (var file in Repository.Files("src", "*.cs"))
        {
            var lines = File.ReadAllLines(file);
            var first = Array.FindIndex(lines, line => TopLevelType().IsMatch(line));
            if (first < 0)
            {
                // A file of top-level statements has no type to speak for it.
                if (!lines.Any(line => line.StartsWith("//", StringComparison.Ordinal)) && lines.Length > 3) findings.Add($"{Repository.Relative(file)}: begin with a comment that says its job");
                continue;
            }

            if (!IsDocumented(lines, first) && !lines.Take(first).Any(line => line.StartsWith("//", StringComparison.Ordinal)))
                findings.Add($"{Repository.Relative(file)}:{first + 1}: say the file's job in the summary of its first type, or in a comment above");
            for (var index = 0; index < lines.Length; index++)
            {
                if (lines[index].StartsWith("public ", StringComparison.Ordinal) && TopLevelType().IsMatch(lines[index]) && !IsDocumented(lines, index))
                    findings.Add($"{Repository.Relative(file)}:{index + 1}: give the public type a summary: what it is, not what it is called");
            }
        }

        Report(findings);
    }

    [Fact]
    public void No_file_is_longer_than_one_sits_down_to_read() => Report(
        Repository.Files("src", "*.cs").Select(file => (File: file, Count: File.ReadLines(file).Count())).Where(file => file.Count > LinesMax)
            .Select(file => $"{Repository.Relative(file.File)} has {file.Count} lines, {LinesMax} are the most: split it by idea"));

    [Fact]
    public void The_top_level_holds_only_what_a_newcomer_needs() => Report(
        Directory.EnumerateFileSystemEntries(Repository.Root).Select(Path.GetFileName).Where(name => !TopLevel.Contains(name!))
            .Select(name => $"{name}: put it below src, tests, cluster-config or deploy, or add it to the list of what a tool requires at the top"));

    private static List<(int Line, string Word, string Remedy)> Impurities(string code)
    {
        var found = new List<(int, string, string)>();
        var lines = code.Split('\n');
        for (var index = 0; index < lines.Length; index++)
        {
            var line = Texts().Replace(lines[index], "\"\"");
            if (line.IndexOf("//", StringComparison.Ordinal) is var comment and >= 0) line = line[..comment];
            foreach (var (pattern, remedy) in ImpureWords)
            {
                foreach (var word in pattern.Matches(line).Select(match => match.Value).Distinct()) found.Add((index + 1, word, remedy));
            }
        }

        return found;
    }

    private static bool IsDocumented(string[] lines, int type)
    {
        var above = type - 1;
        while (above >= 0 && lines[above].StartsWith('[')) above--;
        for (; above >= 0 && lines[above].StartsWith("///", StringComparison.Ordinal); above--)
        {
            if (lines[above].Contains("<summary>", StringComparison.Ordinal) || lines[above].Contains("<param ", StringComparison.Ordinal) || lines[above].Contains("<inheritdoc", StringComparison.Ordinal)) return true;
        }

        return false;
    }

    private static IEnumerable<string> Lines(string file, Regex pattern, string remedy) => File.ReadLines(file)
        .Select((line, index) => (Text: line, Number: index + 1)).Where(line => pattern.IsMatch(line.Text))
        .Select(line => $"{Repository.Relative(file)}:{line.Number}: {pattern.Match(line.Text).Value}: {remedy}");

    private static bool IsText(string file) => Path.GetExtension(file) is ".cs" or ".proto" or ".json" or ".md" or ".sh" or ".csproj" or ".sql" or ".py" or ".yaml" or ".yml" or ".html" or ".css" or ".js" or ".ts" or "";

    private static void Report(IEnumerable<string> findings) => string.Join('\n', findings).ShouldBe("");

    [GeneratedRegex(@"\b(DateTime(Offset)?\.(Utc)?(Now|Today)|Stopwatch|Environment\.TickCount(64)?|TimeProvider)\b")]
    private static partial Regex Clock();

    [GeneratedRegex(@"\b(Task|ValueTask|IAsyncDisposable|async|await|Thread|ThreadPool|Timer|Parallel|Monitor|Interlocked|Mutex|Semaphore(Slim)?|Lock|lock|volatile)\b(?!\s*:)")]
    private static partial Regex Threads();

    [GeneratedRegex(@"\b(File\.|Directory\.|Console|Socket|HttpClient|Process\.|Environment\.GetEnvironmentVariable\b)")]
    private static partial Regex InputOutput();

    [GeneratedRegex(@"\b(Random|RandomNumberGenerator|Guid\.NewGuid)\b(?=[.(\s])")]
    private static partial Regex Chance();

    [GeneratedRegex(@"""(\\.|[^""\\])*""")]
    private static partial Regex Texts();

    [GeneratedRegex(@"^((public|internal|file|sealed|abstract|static|readonly|partial|unsafe|ref) )*(class|record|struct|interface|enum|delegate) ")]
    private static partial Regex TopLevelType();
}
