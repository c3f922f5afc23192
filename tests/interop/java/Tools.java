// SPDX-License-Identifier: Apache-2.0

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Scanner;
import org.apache.kafka.common.utils.Exit;
import org.slf4j.LoggerFactory;

/**
 * Runs Kafka's command line tools one after another in one JVM, since starting one takes longer
 * than most of them. Each request is a line of words in base64: standard input, the main class, its
 * arguments. Each answer is a line: exit code, standard output, standard error, again in base64.
 */
public class Tools {
    /** What stands for the end of the JVM. Some tools catch it and exit again. */
    private static final class Ended extends Error {
    }

    private static final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private static final ByteArrayOutputStream err = new ByteArrayOutputStream();
    private static final List<Runnable> hooks = new ArrayList<>();
    private static Integer exitCode;

    public static void main(String[] args) {
        PrintStream answers = System.out;
        InputStream requests = System.in;
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        LoggerFactory.getLogger(Tools.class).info("ready"); // the log has the real stderr
        // Set once: Scala keeps the stream that it saw first.
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Scanner lines = new Scanner(requests, StandardCharsets.US_ASCII);
        while (lines.hasNextLine()) {
            String[] words = Arrays.stream(lines.nextLine().split(" ", -1))
                .map(word -> new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8))
                .toArray(String[]::new);
            answers.println(run(words[0], words[1], Arrays.copyOfRange(words, 2, words.length)));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void end(int code) {
        if (exitCode == null) {
            exitCode = code;
        }
        throw new Ended();
    }

    private static String run(String input, String tool, String[] args) {
        out.reset();
        err.reset();
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        exitCode = null;
        hooks.clear();
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (exitCode == null) {
                e.getCause().printStackTrace();
                exitCode = 1;
            }
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            exitCode = 1;
        }
        hooks.forEach(Runnable::run); // the console producer sends its last records there
        int code = exitCode == null ? 0 : exitCode;
        Base64.Encoder coder = Base64.getEncoder();
        return code + " " + coder.encodeToString(out.toByteArray()) + " "
            + coder.encodeToString(err.toByteArray());
    }
}
